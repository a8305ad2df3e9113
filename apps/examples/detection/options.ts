// The command line of the detection job. A wrong value is one clear line and exit code 2; nothing starts before all are checked.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { FailedError, numberFlag, parseFlags, pathFlag } from "@bitdiet/zoo/runner/command-line";
import { addJobOptions, type JobOptions, jobOptions } from "@bitdiet/zoo/runner/job-options";
import cac from "cac";

export interface Options extends JobOptions {
  /** A VOCdevkit, one year's folder in it, or a tar archive. */
  data: string;
  trainSet: string;
  testSet: string;
  /** model.json of MobileNet V1. */
  features: string;
  /** Batches that the float network is trained on. */
  steps: number;
  /** Batches of each quantized run. */
  fineTuneSteps: number;
  out: string;
  resume: boolean;
}

const DATA =
  process.env["BITDIET_DATA"] ?? fileURLToPath(new URL("../../../../shared/data", import.meta.url));

export const DEFAULTS: Options = {
  bits: 6,
  weightBits: 6,
  lambda: 0.15,
  weightLambda: 0.15,
  seed: 1,
  backend: "wasm",
  json: false,
  data: join(DATA, "detection/bccd-trainval.tar"),
  trainSet: "train",
  testSet: "val",
  features: join(DATA, "models/mobilenet-v1-025-imagenet-tfjs/model.json"),
  steps: 500,
  fineTuneSteps: 60,
  out: "out/detection",
  resume: false,
};

/**
 * The options, or undefined when `--help` was asked for and printed.
 *
 * @throws {UsageError} for a wrong value; @throws {FailedError} if the data or the features are not there
 */
export function parseOptions(argv: string[]): Options | undefined {
  const cli = cac("npm run start:detection --");
  const d = DEFAULTS;
  const command = cli.command(
    "",
    "Train a small SSD on marked pictures, quantized with and without the entropy term; encode, decode, evaluate, report",
  );
  addJobOptions(command, d, 1)
    .option("--data <path>", "A VOCdevkit or a tar archive of one (default the blood cells of BITDIET_DATA)")
    .option("--train-set <name>", `Set in ImageSets/Main to train on (default ${d.trainSet})`)
    .option("--test-set <name>", `Set to judge on (default ${d.testSet})`)
    .option("--features <file>", "model.json of MobileNet V1 (default that of BITDIET_DATA, of width 0.25)")
    .option("--steps <n>", `Batches of float training (default ${d.steps})`)
    .option("--fine-tune-steps <n>", `Batches of each quantized run (default ${d.fineTuneSteps})`)
    .option("--out <dir>", `Where the report goes (default apps/examples/${d.out})`)
    .option("--resume", "Go on where an interrupted run into the same folder stopped")
    .action(() => {});
  const parsed = parseFlags(cli, argv);
  if (parsed === undefined) return undefined;
  const { flags } = parsed;
  const steps = (flag: "steps" | "fineTuneSteps") =>
    numberFlag(flags, flag, { fallback: d[flag], least: 1, most: 1e6 });
  const there = (flag: "data" | "features") => {
    const path = pathFlag(flags, flag, d[flag]);
    if (!existsSync(path))
      throw new FailedError(`${path} is not there: name yours by --${flag}, or set BITDIET_DATA`);
    return path;
  };
  return {
    ...jobOptions(flags, d, 1),
    data: there("data"),
    trainSet: String(flags["trainSet"] ?? d.trainSet),
    testSet: String(flags["testSet"] ?? d.testSet),
    features: there("features"),
    steps: steps("steps"),
    fineTuneSteps: steps("fineTuneSteps"),
    out: pathFlag(flags, "out", resolve(import.meta.dirname, "..", d.out)),
    resume: flags["resume"] === true,
  };
}
