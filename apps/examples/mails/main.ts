// The mails job, `npm run start:mails` (mails come with the install; `-- --task …` for others): train or load a BERT, fine-tune it quantized with and without the entropy term, encode and decode everything, evaluate what was
// decoded, and report.
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { encodeExamples, stepsPerEpoch } from "@bitdiet/zoo/data/text-batches";
import { bert } from "@bitdiet/zoo/nets/bert";
import { CheckpointError, writeBertCheckpoint } from "@bitdiet/zoo/nets/bert-checkpoint";
import type { Parameters } from "@bitdiet/zoo/nets/hooks";
import { SafetensorsError } from "@bitdiet/zoo/nets/safetensors";
import { textTable } from "@bitdiet/zoo/report/text-table";
import { writeWhole } from "@bitdiet/zoo/report/write";
import { exitWith, kebab, UsageError } from "@bitdiet/zoo/runner/command-line";
import { plainOf, tensorsOf } from "@bitdiet/zoo/runner/plain-tensors";
import { useBackend } from "@bitdiet/zoo/training/backend";
import type { FineTuning } from "@bitdiet/zoo/training/bert";
import type { Checkpoint } from "@bitdiet/zoo/training/loop";
import * as tf from "@tensorflow/tfjs-core";
import { dequantizedParameters } from "./deploy.js";
import { predict, trainFloat } from "./float.js";
import { runJobs } from "./jobs.js";
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
import { loadTask, type Task } from "./task.js";

/** Ranges of the entropy-trained network start at these multiples: coarse steps are the first lever of the rate. */
const WIDE_RANGE = { factor: 3, weightFactor: 3 };
const CLOSE_RANGE = { factor: 1, weightFactor: 1 };

async function run(options: Options): Promise<void> {
  const startTime = performance.now();
  const { task, start } = await input(options);
  const { tokenizer, config } = start;
  for (const note of task.notes) console.error(note);
  checkResumed(options);
  const training = encodeExamples(tokenizer, task.training, options.maxLength);
  const development = Object.fromEntries(
    Object.entries(task.development).map(([set, examples]) => [
      set,
      encodeExamples(tokenizer, examples, options.maxLength),
    ]),
  );
  const { bits, weightBits, lambda, weightLambda, seed, distill, backend } = options;
  const checkpoint = (name: string): Checkpoint => ({
    path: join(options.out, "training", `${kebab(name)}.safetensors`),
    every: stepsPerEpoch(training),
    resume: options.resume,
  });

  await useBackend(backend);
  const float = await trainFloat(start.parameters, config, training, {
    epochs: options.epochs,
    learningRate: options.learningRate,
    dropout: 0.1,
    seed,
    checkpoint: checkpoint("float"),
  });
  await save(options, start, "float", float);
  const answers = Object.entries(development).map(([set, data]) => [
    set,
    predict(data, (input) => bert(float, config, input)),
  ]);

  const common = {
    epochs: options.fineTuneEpochs,
    learningRate: options.fineTuneLearningRate,
    seed,
    distill,
    lambda: 0,
    weightLambda: 0,
  };
  // The entropy term does best from wide ranges (coarse steps). So that its gain is not mistaken for theirs, plain
  // quantization runs from both: from ranges that just hold the values, as is usual, and from wide ones.
  const tunings: Record<NetworkName, Omit<FineTuning, "checkpoint">> = {
    compressionAware: { ...common, bits, weightBits, lambda, weightLambda, ...WIDE_RANGE },
    quantized: { ...common, bits, weightBits, ...CLOSE_RANGE },
    quantizedWideRange: { ...common, bits, weightBits, ...WIDE_RANGE },
    quantized8: { ...common, bits: 8, weightBits: 8, ...CLOSE_RANGE },
  };
  const plain = plainOf(float);
  const names = Object.keys(tunings) as NetworkName[];
  const results = await runJobs(
    names.map((name) => ({
      task: NETWORK_TITLES[name],
      backend,
      start: plain,
      config,
      training,
      development,
      tuning: { ...tunings[name], checkpoint: checkpoint(name) },
    })),
  );
  const ofEach = <T>(get: (result: (typeof results)[number], name: NetworkName) => T) =>
    Object.fromEntries(
      NETWORK_NAMES.map((name) => [name, get(results[names.indexOf(name)], name)]),
    ) as Record<NetworkName, T>;

  for (const [i, name] of names.entries()) {
    const { parameters, ranges } = results[i];
    const trained = tensorsOf(parameters);
    const shipped = dequantizedParameters({ parameters: trained, ranges, ...tunings[name] });
    await save(options, start, name, shipped);
    tf.dispose([trained, shipped]);
  }
  const report = reportOf(
    { options, task, config, seconds: (performance.now() - startTime) / 1000 },
    {
      scores: scoresOf(task, Object.fromEntries(answers)),
      bytes: 4 * Object.values(float).reduce((total, { size }) => total + size, 0),
    },
    ofEach(({ deployment }, name) => ({
      widths: { bits: tunings[name].bits, weightBits: tunings[name].weightBits },
      deployment,
    })),
  );
  await writeReport(
    options.out,
    report,
    ofEach(({ deployment }) => deployment),
  );
  tf.dispose([float, start.parameters]);

  if (options.json) {
    console.log(JSON.stringify(report, null, 2));
    return;
  }
  const html = relative(process.cwd(), join(options.out, "report.html"));
  console.log(`\n${textTable(...headlines(report))}\n`);
  console.log(`${report.summary}\n\nReport: ${html}, with report.json and the networks beside it.`);
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
      error instanceof SafetensorsError ||
      (error as NodeJS.ErrnoException).code === "ENOENT";
    throw isTheirs ? new UsageError((error as Error).message) : error;
  }
}

/** A run goes on only as it began: the options that training depends on lie beside its state. */
function checkResumed({ resume, out, json: _, backend: __, ...training }: Options): void {
  const path = join(out, "training", "options.json");
  const text = `${JSON.stringify({ ...training }, null, 2)}\n`;
  if (resume && existsSync(path) && readFileSync(path, "utf8") !== text) {
    throw new UsageError(`--resume: ${path} says that the run began with other options`);
  }
  writeWhole(path, text);
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
