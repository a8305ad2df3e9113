// What the command lines of all jobs share: widths, what a bit is worth, seed, backend and how to report.
import type { Backend } from "../training/backend.js";
import { type Flags, numberFlag, UsageError } from "./command-line.js";

export interface JobOptions {
  /** Of activations. */
  bits: number;
  weightBits: number;
  /** Weight of the activations' entropy in the loss, in nats a bit. */
  lambda: number;
  /** Weight of the weights' entropy in the loss, in nats a bit. */
  weightLambda: number;
  seed: number;
  backend: Backend;
  json: boolean;
}

/** A command of cac's, as far as it is used here. */
interface Command {
  option(flag: string, text: string): Command;
}

/** @param leastBits of activations: signed ones need two */
export function addJobOptions<C extends Command>(command: C, d: JobOptions, leastBits: number): C {
  return command
    .option("--bits <n>", `Bits of activations, ${leastBits} .. 8 (default ${d.bits})`)
    .option("--weight-bits <n>", `Bits of weights, 2 .. 8 (default ${d.weightBits})`)
    .option("--lambda <x>", `Weight of the activations' entropy in the loss, ≥ 0 (default ${d.lambda})`)
    .option(
      "--weight-lambda <x>",
      `Weight of the weights' entropy in the loss, ≥ 0 (default ${d.weightLambda})`,
    )
    .option("--seed <n>", `Seed of initial weights, data order and sampling (default ${d.seed})`)
    .option("--backend <name>", `wasm or cpu, which is slow (default ${d.backend})`)
    .option("--json", "Print the report as JSON instead of the table") as C;
}

/** @throws {UsageError} naming the flag that is out of its range */
export function jobOptions(flags: Flags, d: JobOptions, leastBits: number): JobOptions {
  const backend = flags["backend"] ?? d.backend;
  if (backend !== "wasm" && backend !== "cpu") {
    throw new UsageError(`--backend: expected wasm or cpu, got ${JSON.stringify(backend)}`);
  }
  const lambda = (flag: "lambda" | "weightLambda") =>
    numberFlag(flags, flag, { fallback: d[flag], least: 0, most: 100, whole: false });
  return {
    bits: numberFlag(flags, "bits", { fallback: d.bits, least: leastBits, most: 8 }),
    weightBits: numberFlag(flags, "weightBits", { fallback: d.weightBits, least: 2, most: 8 }),
    lambda: lambda("lambda"),
    weightLambda: lambda("weightLambda"),
    seed: numberFlag(flags, "seed", { fallback: d.seed, least: 0, most: 2 ** 31 - 1 }),
    backend,
    json: flags["json"] === true,
  };
}

/** Lengths of a job's two trainings. */
export interface Epochs {
  epochs: number;
  fineTuneEpochs: number;
}

export function addEpochs<C extends Command>(command: C, d: Epochs): C {
  return command
    .option("--epochs <n>", `Epochs of float training (default ${d.epochs})`)
    .option("--fine-tune-epochs <n>", `Epochs of each quantized run (default ${d.fineTuneEpochs})`) as C;
}

/** @throws {UsageError} naming the flag that is out of its range */
export function epochs(flags: Flags, d: Epochs): Epochs {
  const number = (flag: keyof Epochs) => numberFlag(flags, flag, { fallback: d[flag], least: 1, most: 1000 });
  return { epochs: number("epochs"), fineTuneEpochs: number("fineTuneEpochs") };
}
