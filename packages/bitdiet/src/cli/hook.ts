/**
 * Functions of the user's, called so that whatever they do ends in one line: those that throw anything, never answer, or end the process.
 *
 *     const evaluate = await loadHook("--evaluate", "eval.js");
 *     await evaluate(model);
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { UsageError } from "./options.js";

/**
 * The function that a module exports as default.
 *
 * @throws {UsageError} if there is none; the function does if it throws
 */
export async function loadHook<Argument>(
  option: string,
  path: string,
): Promise<(argument: Argument) => Promise<unknown>> {
  const module = (await guarded(
    option,
    `${path} cannot be loaded`,
    () => import(pathToFileURL(resolve(path)).href),
  )) as {
    default: unknown;
  };
  const hook = module.default;
  if (typeof hook !== "function")
    throw new UsageError(`${option}: expected ${path} to export a function as default, got ${typeof hook}`);
  return (argument) => guarded(option, path, () => hook(argument));
}

async function guarded(option: string, what: string, call: () => unknown): Promise<unknown> {
  const exit = process.exit;
  const end = (how: string): never => {
    process.stderr.write(`bitdiet: ${option}: ${what}: ${how}\n`);
    return exit(2);
  };
  // Nothing is left that could ever answer.
  const onIdle = () => end("never answers");
  process.once("beforeExit", onIdle);
  process.exit = (code) => end(`ends the process, with code ${code ?? 0}`);
  try {
    return await call();
  } catch (thrown) {
    throw new UsageError(
      `${option}: ${what}: ${thrown instanceof Error ? thrown.message : `threw ${thrown}`}`,
    );
  } finally {
    process.exit = exit;
    process.off("beforeExit", onIdle);
  }
}
