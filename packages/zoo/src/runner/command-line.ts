// What the programs here share of their command lines: flags are checked before anything starts; a wrong one is one clear
// line and exit code 2, a failure later is exit code 1, and a run that was told to end and can go on is 75. Example: `--bits: expected a whole number from 1 to 8, got 9`.
import { resolve } from "node:path";
import { removeUnfinishedAtExit } from "bitdiet/node";
import { InterruptedError, TRY_AGAIN } from "./interruption.js";

/** Wrong use of the command line; the message is for the user. */
export class UsageError extends Error {}

/** What was asked for could not be; the message is for the user. */
export class FailedError extends Error {}

/** What `parseFlags` uses of a program made with cac. */
export interface Program {
  help(): unknown;
  /** The first word, if the program has several commands; empty for the one that takes any. */
  matchedCommandName?: string;
  parse(argv: string[], options: { run: boolean }): { options: Flags; args: readonly string[] };
  runMatchedCommand(): unknown;
}

/** Flags by their names in camel case, as cac gives them. */
export type Flags = Record<string, unknown>;

/**
 * Reads arguments with a program of one command or several.
 *
 * @returns undefined when `--help` was asked for and printed
 * @throws {UsageError} on unknown flags, missing values and arguments that nobody asked for
 */
export function parseFlags(
  program: Program,
  argv: readonly string[],
): { command: string; flags: Flags; args: readonly string[] } | undefined {
  program.help();
  try {
    const { options: flags, args } = program.parse(["node", "main", ...argv], { run: false });
    if (flags.help) return undefined;
    program.runMatchedCommand(); // makes these checks
    return { command: program.matchedCommandName ?? "", flags, args };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** The number given with a flag, `fallback` if it was left out. @throws {UsageError} unless it lies in the range */
export function numberFlag(
  flags: Flags,
  flag: string,
  { fallback, least, most, whole = true }: { fallback: number; least: number; most: number; whole?: boolean },
): number {
  const value = flags[flag] ?? fallback;
  const fits = typeof value === "number" && value >= least && value <= most;
  if (fits && (!whole || Number.isInteger(value))) return value;
  const kind = whole ? "a whole number" : "a number";
  throw new UsageError(
    `--${kebab(flag)}: expected ${kind} from ${least} to ${most}, got ${JSON.stringify(value)}`,
  );
}

/** The path given with a flag, absolute. @throws {UsageError} if it is missing and there is no fallback */
export function pathFlag(flags: Flags, flag: string, fallback?: string): string {
  const value = flags[flag];
  if (value === undefined && fallback !== undefined) return fallback;
  // A folder called 12 arrives as a number.
  if (typeof value === "number") return fromUser(String(value));
  if (typeof value === "string" && value !== "") return fromUser(value);
  throw new UsageError(`--${kebab(flag)}: expected a path, got ${JSON.stringify(value)}`);
}

/** A flag in the words of the command line. */
export const kebab = (flag: string): string =>
  flag.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A path relative to where the user stands: npm runs a workspace's script in the workspace's folder. */
const fromUser = (path: string): string => resolve(process.env["INIT_CWD"] ?? ".", path);

/** Runs a program and sets the exit code; however it ends, no unfinished file is left. @param name as the user calls it: "npm start" */
export async function exitWith(name: string, program: () => Promise<void>): Promise<void> {
  removeUnfinishedAtExit();
  try {
    await program();
  } catch (error) {
    const isUsage = error instanceof UsageError;
    if (isUsage) console.error(`${name}: ${error.message} (see ${name} -- --help)`);
    else if (error instanceof InterruptedError || error instanceof FailedError)
      console.error(`${name}: ${error.message}`);
    else console.error(error);
    process.exit(isUsage ? 2 : error instanceof InterruptedError ? TRY_AGAIN : 1);
  }
}
