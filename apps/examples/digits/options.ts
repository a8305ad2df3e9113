// The command line of the main job. A wrong value is one clear line and exit code 2; nothing starts before all are checked.
import { resolve } from "node:path";
import { numberFlag, parseFlags, pathFlag, UsageError } from "@bitdiet/zoo/runner/command-line";
import type { Backend } from "@bitdiet/zoo/training/backend";
import cac from "cac";

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

export const DEFAULTS: Options = {
  bits: 4,
  weightBits: 8,
  lambda: 0.08,
  weightLambda: 0.02,
  epochs: 8,
  fineTuneEpochs: 6,
  seed: 1,
  out: "out/digits",
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
  const parsed = parseFlags(cli, argv);
  if (parsed === undefined) return undefined;
  const { flags } = parsed;
  const whole = (flag: keyof Options & string, least: number, most: number) =>
    numberFlag(flags, flag, { fallback: d[flag] as number, least, most });
  const factor = (flag: keyof Options & string) =>
    numberFlag(flags, flag, { fallback: d[flag] as number, least: 0, most: 100, whole: false });
  const backend = flags["backend"] ?? d.backend;
  if (backend !== "wasm" && backend !== "cpu") {
    throw new UsageError(`--backend: expected wasm or cpu, got ${JSON.stringify(backend)}`);
  }
  return {
    bits: whole("bits", 1, 8),
    weightBits: whole("weightBits", 2, 8),
    lambda: factor("lambda"),
    weightLambda: factor("weightLambda"),
    epochs: whole("epochs", 1, 1000),
    fineTuneEpochs: whole("fineTuneEpochs", 1, 1000),
    seed: whole("seed", 0, 2 ** 31 - 1),
    out: pathFlag(flags, "out", resolve(import.meta.dirname, "..", d.out)),
    backend,
    curve: flags["curve"] === true,
    json: flags["json"] === true,
  };
}
