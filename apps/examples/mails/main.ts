// The mails job, `npm run start:mails` (mails come with the install; `-- --task …` for others): train or load a BERT, fine-tune it quantized with and without the entropy term, encode and decode everything, evaluate what was
// decoded, and report.
import { join } from "node:path";
import type { BitWidths, Parameters } from "@bitdiet/compression-aware";
import { encodeExamples, stepsPerEpoch } from "@bitdiet/zoo/data/text-batches";
import { bert } from "@bitdiet/zoo/nets/bert";
import { CheckpointError, writeBertCheckpoint } from "@bitdiet/zoo/nets/bert-checkpoint";
import { printReport } from "@bitdiet/zoo/report/print";
import { writeWhole } from "@bitdiet/zoo/report/write";
import { exitWith, kebab, UsageError } from "@bitdiet/zoo/runner/command-line";
import { runJob } from "@bitdiet/zoo/runner/job";
import { checkResumed } from "@bitdiet/zoo/runner/resumed";
import { useBackend } from "@bitdiet/zoo/training/backend";
import type { FineTuning } from "@bitdiet/zoo/training/bert";
import type { Checkpoint } from "@bitdiet/zoo/training/loop";
import * as tf from "@tensorflow/tfjs-core";
import { ModelFileError } from "bitdiet";
import { predict, trainFloat } from "./float.js";
import { type Options, parseOptions } from "./options.js";
import {
  headlines,
  NETWORK_NAMES,
  NETWORK_TITLES,
  type NetworkName,
  reportOf,
  scoresOf,
  writeReport,
} from "./report.js";
import { type Start, startOf } from "./start.js";
import { type Deployment, dequantizedParameters, type TaskData } from "./task.js";
import { loadTask, type Task } from "./texts.js";

/** Scales of the entropy-trained network start at these multiples: coarse steps are the first lever of the rate. */
const WIDE_RANGE = { factor: 3, weightFactor: 3 };
const CLOSE_RANGE = { factor: 1, weightFactor: 1 };

async function run(options: Options): Promise<void> {
  const { task, start } = await input(options);
  for (const note of task.notes) console.error(note);
  checkResumed(options);
  const encode = (examples: Task["training"]) => encodeExamples(start.tokenizer, examples, options.maxLength);
  const data: TaskData = {
    config: start.config,
    training: encode(task.training),
    development: Object.fromEntries(
      Object.entries(task.development).map(([set, examples]) => [set, encode(examples)]),
    ),
  };
  const checkpoint = (name: string): Checkpoint => ({
    path: join(options.out, "training", `${kebab(name)}.safetensors`),
    every: stepsPerEpoch(data.training),
    resume: options.resume,
  });
  const tunings = tuningsOf(options);
  await runJob<TaskData, FineTuning, Deployment>({
    backend: options.backend,
    module: new URL("./task.ts", import.meta.url),
    data,
    train: () =>
      trainFloat(start.parameters, data.config, data.training, {
        epochs: options.epochs,
        learningRate: options.learningRate,
        dropout: 0.1,
        seed: options.seed,
        checkpoint: checkpoint("float"),
      }),
    networks: NETWORK_NAMES.map((name) => ({
      title: NETWORK_TITLES[name],
      tuning: { ...tunings[name], checkpoint: checkpoint(name) },
    })),
    report: (float, results, seconds) => report({ options, task, start, data }, float, results, seconds()),
  });
  tf.dispose(start.parameters);
}

/** Saves every network, judges what was decoded, and writes the report. */
async function report(
  { options, task, start, data }: { options: Options; task: Task; start: Start; data: TaskData },
  float: Parameters,
  results: readonly Deployment[],
  seconds: number,
): Promise<void> {
  const tunings = tuningsOf(options);
  await save(options, start, "float", float);
  for (const [i, name] of NETWORK_NAMES.entries()) {
    const shipped = await dequantizedParameters(results[i]);
    await save(options, start, name, shipped);
    writeWhole(join(options.out, `${kebab(name)}.bitdiet`), results[i].file);
    tf.dispose(shipped);
  }
  const answers = Object.entries(data.development).map(([set, texts]) => [
    set,
    predict(texts, (input) => bert(float, data.config, input)),
  ]);
  const floatBytes = 4 * Object.values(float).reduce((total, { size }) => total + size, 0);
  const deployments = Object.fromEntries(
    NETWORK_NAMES.map((name, i) => [name, { widths: tunings[name], deployment: results[i] }]),
  ) as unknown as Record<NetworkName, { widths: BitWidths; deployment: Deployment }>;
  const made = reportOf(
    { options, task, config: data.config, seconds },
    { scores: scoresOf(task, Object.fromEntries(answers)), bytes: floatBytes },
    deployments,
  );
  await writeReport(options.out, made, deployments);
  printReport(options, made, headlines(made));
}

/**
 * The entropy term does best from wide ranges (coarse steps). So that its gain is not mistaken for theirs, plain quantization
 * runs from both: from ranges that just hold the values, as is usual, and from wide ones.
 */
function tuningsOf(options: Options): Record<NetworkName, Omit<FineTuning, "checkpoint">> {
  const { bits: activationBits, weightBits, lambda, weightLambda, seed, distill } = options;
  const common = {
    epochs: options.fineTuneEpochs,
    learningRate: options.fineTuneLearningRate,
    seed,
    distill,
    lambda: 0,
    weightLambda: 0,
  };
  const widths = { activationBits, weightBits };
  return {
    quantized8: { ...common, activationBits: 8, weightBits: 8, ...CLOSE_RANGE },
    quantized: { ...common, ...widths, ...CLOSE_RANGE },
    quantizedWideRange: { ...common, ...widths, ...WIDE_RANGE },
    compressionAware: { ...common, ...widths, lambda, weightLambda, ...WIDE_RANGE },
  };
}

/** What the options point to; what is wrong with it is the user's to mend. */
async function input(options: Options): Promise<{ task: Task; start: Start }> {
  try {
    const task = loadTask(options.task, options.data, options.columns);
    await useBackend(options.backend);
    return { task, start: await startOf(task, options) };
  } catch (error) {
    const isTheirs =
      error instanceof RangeError ||
      error instanceof CheckpointError ||
      error instanceof ModelFileError ||
      (error as NodeJS.ErrnoException).code === "ENOENT";
    throw isTheirs ? new UsageError((error as Error).message) : error;
  }
}

/** Writes a network as a Hugging Face folder, its tokenizer included. */
async function save({ out, checkpoint }: Options, start: Start, name: string, parameters: Parameters) {
  const folder = join(out, kebab(name)); // quantizedWideRange is the folder quantized-wide-range
  await writeBertCheckpoint(folder, { config: start.config, parameters, json: start.json }, checkpoint);
  if (start.vocabulary !== undefined) writeWhole(join(folder, "vocab.txt"), start.vocabulary);
}

await exitWith("npm run start:mails", async () => {
  const options = parseOptions(process.argv.slice(2));
  if (options) await run(options);
});
