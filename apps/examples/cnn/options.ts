// The command line of the main job. A wrong value is one clear line and exit code 2; nothing starts before all are checked.
import { resolve } from "node:path";
import cac from "cac";
import type { Backend } from "../setup.js";

export interface Options {
  bits: number;
  weightBits: number;
  lambda: number;
  weightLambda: number;
  epochs: number;
  fineTuneEpochs: number;
  seed: number;
  out: string;
  backend: Backend;
  curve: boolean;
  json: boolean;
}

/** Wrong use of the command line; the message is for the user. */
export class UsageError extends Error {}

export const DEFAULTS: Options = {
  bits: 4,
  weightBits: 8,
  lambda: 0.08,
  weightLambda: 0.02,
  epochs: 8,
  fineTuneEpochs: 6,
  seed: 1,
  out: "out/mnist",
  backend: "wasm",
  curve: false,
  json: false,
};

/** @returns the options, or undefined when `--help` was asked for and printed */
export function parseOptions(argv: string[]): Options | undefined {
  const cli = cac("npm start --");
  const d = DEFAULTS;
  cli
    .command(
      "",
      "Train a CNN on real digits, quantized with and without the entropy term; encode, decode, evaluate, report",
    )
    .option("--bits <n>", `Bits of activations, 1 .. 8 (default ${d.bits})`)
    .option("--weight-bits <n>", `Bits of weights, 2 .. 8 (default ${d.weightBits})`)
    .option("--lambda <x>", `Weight of the activations' entropy in the loss, ≥ 0 (default ${d.lambda})`)
    .option(
      "--weight-lambda <x>",
      `Weight of the weights' entropy in the loss, ≥ 0 (default ${d.weightLambda})`,
    )
    .option("--epochs <n>", `Epochs of float training (default ${d.epochs})`)
    .option("--fine-tune-epochs <n>", `Epochs of each quantized run (default ${d.fineTuneEpochs})`)
    .option("--seed <n>", `Of initial weights, data order and sampling (default ${d.seed})`)
    .option("--out <dir>", `Where the report goes (default apps/examples/${d.out})`)
    .option("--backend <name>", `wasm or cpu, which is slow (default ${d.backend})`)
    .option(
      "--curve",
      "Also draw rate against accuracy for several lambdas, ranges and bit widths; takes much longer",
    )
    .option("--json", "Print the report as JSON instead of the table")
    .action(() => {});
  cli.help();
  let flags: Record<string, unknown>;
  try {
    const parsed = cli.parse(["node", "main", ...argv], { run: false });
    if (parsed.options.help) return undefined;
    if (parsed.args.length > 0) throw new UsageError(`unexpected argument "${parsed.args[0]}"`);
    cli.runMatchedCommand(); // checks for unknown options and missing values
    flags = parsed.options;
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError((error as Error).message);
  }

  const number = (flag: string, fallback: number, least: number, most: number, whole: boolean): number => {
    const value = flags[flag] ?? fallback;
    const kind = whole ? "a whole number" : "a number";
    if (
      typeof value !== "number" ||
      !(value >= least && value <= most) ||
      (whole && !Number.isInteger(value))
    ) {
      const name = flag.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      throw new UsageError(
        `--${name}: expected ${kind} from ${least} to ${most}, got ${JSON.stringify(value)}`,
      );
    }
    return value;
  };
  const backend = flags["backend"] ?? d.backend;
  if (backend !== "wasm" && backend !== "cpu") {
    throw new UsageError(`--backend: expected wasm or cpu, got ${JSON.stringify(backend)}`);
  }
  const out = flags["out"] ?? d.out;
  if (typeof out !== "string" || out === "") {
    throw new UsageError(`--out: expected a folder, got ${JSON.stringify(out)}`);
  }
  return {
    bits: number("bits", d.bits, 1, 8, true),
    weightBits: number("weightBits", d.weightBits, 2, 8, true),
    lambda: number("lambda", d.lambda, 0, 100, false),
    weightLambda: number("weightLambda", d.weightLambda, 0, 100, false),
    epochs: number("epochs", d.epochs, 1, 1000, true),
    fineTuneEpochs: number("fineTuneEpochs", d.fineTuneEpochs, 1, 1000, true),
    seed: number("seed", d.seed, 0, 2 ** 31 - 1, true),
    // Relative to where the user stands: npm runs a workspace's script in the workspace's folder.
    out:
      flags["out"] === undefined
        ? resolve(import.meta.dirname, "..", out)
        : resolve(process.env["INIT_CWD"] ?? ".", out),
    backend,
    curve: flags["curve"] === true,
    json: flags["json"] === true,
  };
}
