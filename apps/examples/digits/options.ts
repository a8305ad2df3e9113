// The command line of the main job. A wrong value is one clear line and exit code 2; nothing starts before all are checked.
import { resolve } from "node:path";
import { parseFlags, pathFlag } from "@bitdiet/zoo/runner/command-line";
import {
  addEpochs,
  addJobOptions,
  type Epochs,
  epochs,
  type JobOptions,
  jobOptions,
} from "@bitdiet/zoo/runner/job-options";
import cac from "cac";

export interface Options extends JobOptions, Epochs {
  out: string;
  curve: boolean;
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
  const command = cli.command(
    "",
    "Train a CNN on real digits, quantized with and without the entropy term; encode, decode, evaluate, report",
  );
  addEpochs(addJobOptions(command, d, 1), d)
    .option("--out <dir>", `Where the report goes (default apps/examples/${d.out})`)
    .option(
      "--curve",
      "Also draw rate against accuracy for several lambdas, ranges and bit widths; takes much longer",
    )
    .action(() => {});
  const parsed = parseFlags(cli, argv);
  if (parsed === undefined) return undefined;
  const { flags } = parsed;
  return {
    ...jobOptions(flags, d, 1),
    ...epochs(flags, d),
    out: pathFlag(flags, "out", resolve(import.meta.dirname, "..", d.out)),
    curve: flags["curve"] === true,
  };
}
