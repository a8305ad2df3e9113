// The command line of the BERT jobs. A wrong value is one clear line and exit code 2; nothing starts before all are checked.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import {
  type Flags,
  kebab,
  numberFlag,
  parseFlags,
  pathFlag,
  UsageError,
} from "@bitdiet/zoo/runner/command-line";
import { addJobOptions, type JobOptions, jobOptions } from "@bitdiet/zoo/runner/job-options";
import cac from "cac";
import { type Columns, TASK_NAMES } from "./texts.js";

export interface Options extends JobOptions {
  task: string;
  /** Where the task's files are; undefined for the mails that come with the install. */
  data?: string;
  /** Column names of `--task tsv`. */
  columns?: Columns;
  /** A Hugging Face folder to start from; undefined trains a small BERT from scratch. */
  checkpoint?: string;
  epochs: number;
  fineTuneEpochs: number;
  learningRate: number;
  fineTuneLearningRate: number;
  /** Tokens. */
  maxLength: number;
  /** Entries of a learned vocabulary. */
  vocabulary: number;
  distill: boolean;
  resume: boolean;
  out: string;
}

const SCRATCH = { epochs: 2, learningRate: 1e-3, fineTuneEpochs: 1.5, fineTuneLearningRate: 5e-4 };
/** As BERT is usually fine-tuned. */
const PRETRAINED = { epochs: 3, learningRate: 3e-5, fineTuneEpochs: 2, fineTuneLearningRate: 2e-5 };
const DEFAULTS: JobOptions & Pick<Options, "task" | "maxLength" | "vocabulary"> = {
  task: "spam",
  bits: 4,
  weightBits: 4,
  lambda: 0.1,
  weightLambda: 0.2,
  maxLength: 64,
  vocabulary: 4096,
  seed: 1,
  backend: "wasm",
  json: false,
};
/** Activations of a BERT are signed. */
const LEAST_BITS = 2;

/** @returns the options, or undefined when `--help` was asked for and printed */
export function parseOptions(argv: string[]): Options | undefined {
  const cli = cac("npm run start:mails --");
  const d = DEFAULTS;
  const either = (key: keyof typeof SCRATCH) =>
    `(default ${SCRATCH[key]} from scratch, ${PRETRAINED[key]} from a checkpoint)`;
  addJobOptions(
    cli.command(
      "",
      "Train a BERT to classify texts, quantized with and without the entropy term; encode, decode, evaluate, report",
    ),
    d,
    LEAST_BITS,
  )
    .option("--task <name>", `${TASK_NAMES.join(", ")} (default ${d.task}: mails that come with the install)`)
    .option("--data <dir>", "Folder with the task's files: train.tsv, dev.tsv and the like")
    .option("--first <column>", "Column of the text, for --task tsv")
    .option("--second <column>", "Column of the second text, for --task tsv")
    .option("--label <column>", "Column of the class, for --task tsv")
    .option(
      "--checkpoint <dir>",
      "Hugging Face folder of a BERT to start from (default: 2 layers, hidden 128, from scratch)",
    )
    .option("--epochs <n>", `Epochs of float training, 0 to leave a checkpoint as it is ${either("epochs")}`)
    .option(
      "--fine-tune-epochs <n>",
      `Epochs of each quantized run, not necessarily whole ${either("fineTuneEpochs")}`,
    )
    .option("--learning-rate <x>", `Learning rate of float training ${either("learningRate")}`)
    .option(
      "--fine-tune-learning-rate <x>",
      `Learning rate of the quantized runs ${either("fineTuneLearningRate")}`,
    )
    .option("--max-length <n>", `Tokens of a text, or of a pair, 8 .. 512 (default ${d.maxLength})`)
    .option("--vocabulary <n>", `Entries to learn without a checkpoint (default ${d.vocabulary})`)
    .option("--distill", "Let the float network teach the quantized ones")
    .option("--resume", "Go on where an interrupted run into the same folder stopped")
    .option("--out <dir>", "Where networks and report go (default apps/examples/out/<task>)")
    .action(() => {});
  const parsed = parseFlags(cli, argv);
  if (parsed === undefined) return undefined;
  return checkedOptions(parsed.flags);
}

function checkedOptions(flags: Flags): Options {
  const d = DEFAULTS;
  const number = (flag: string, fallback: number, least: number, most: number, whole: boolean) =>
    numberFlag(flags, flag, { fallback, least, most, whole });
  const { task, data, columns } = checkedTask(flags);
  const checkpoint = folderFlag(flags, "checkpoint");
  const rates = checkpoint === undefined ? SCRATCH : PRETRAINED;
  return {
    ...jobOptions(flags, d, LEAST_BITS),
    task,
    data,
    columns,
    checkpoint,
    epochs: number("epochs", rates.epochs, checkpoint === undefined ? 1 : 0, 1000, true),
    fineTuneEpochs: number("fineTuneEpochs", rates.fineTuneEpochs, 0.01, 1000, false),
    learningRate: number("learningRate", rates.learningRate, 0, 1, false),
    fineTuneLearningRate: number("fineTuneLearningRate", rates.fineTuneLearningRate, 0, 1, false),
    maxLength: number("maxLength", d.maxLength, 8, 512, true),
    vocabulary: number("vocabulary", d.vocabulary, 256, 100_000, true),
    distill: flags["distill"] === true,
    resume: flags["resume"] === true,
    out: pathFlag(flags, "out", resolve(import.meta.dirname, "..", "out", task)),
  };
}

/** Task, its folder and its columns, which go together. */
function checkedTask(flags: Flags): Pick<Options, "task" | "data" | "columns"> {
  const task = textFlag(flags, "task") ?? DEFAULTS.task;
  if (!TASK_NAMES.includes(task)) {
    throw new UsageError(`--task: expected one of ${TASK_NAMES.join(", ")}, got "${task}"`);
  }
  const data = folderFlag(flags, "data");
  if (task !== "spam" && data === undefined) throw new UsageError(`--data: expected the folder of ${task}`);
  if (task === "spam" && data !== undefined) throw new UsageError("--data: the mails come with the install");
  const [first, second, label] = ["first", "second", "label"].map((flag) => textFlag(flags, flag));
  if (task !== "tsv" && (first ?? second ?? label) !== undefined) {
    throw new UsageError("--first, --second and --label: only with --task tsv");
  }
  if (task === "tsv" && (first === undefined || label === undefined)) {
    throw new UsageError("--task tsv: expected --first and --label, the names of its columns");
  }
  const columns = first !== undefined && label !== undefined ? { first, second, label } : undefined;
  return { task, data, columns };
}

function textFlag(flags: Flags, flag: string): string | undefined {
  const value = flags[flag];
  if (value === undefined) return undefined;
  if (typeof value === "string" && value !== "") return value;
  // A folder or column called 12 arrives as a number.
  if (typeof value === "number") return String(value);
  throw new UsageError(`--${kebab(flag)}: expected one name, got ${JSON.stringify(value)}`);
}

function folderFlag(flags: Flags, flag: string): string | undefined {
  if (flags[flag] === undefined) return undefined;
  const found = pathFlag(flags, flag);
  if (!existsSync(found)) throw new UsageError(`--${kebab(flag)}: there is no folder ${found}`);
  return found;
}
