// The detection job, `npm run start:detection`: train a small SSD on marked pictures, fine-tune it quantized with and without
// the entropy term, ship it as .bitdiet files, find boxes with what arrived, and report.
import { join } from "node:path";
import type { Parameters } from "@bitdiet/compression-aware";
import { classesOf, type VocImage, vocImages } from "@bitdiet/zoo/data/voc";
import { readLayers } from "@bitdiet/zoo/nets/read-layers";
import { NETWORK_NAMES, NETWORK_TITLES, type NetworkName } from "@bitdiet/zoo/report/network-titles";
import { printReport } from "@bitdiet/zoo/report/print";
import { exitWith, FailedError, kebab } from "@bitdiet/zoo/runner/command-line";
import { untilTold } from "@bitdiet/zoo/runner/interruption";
import { checkResumed } from "@bitdiet/zoo/runner/resumed";
import { useBackend } from "@bitdiet/zoo/training/backend";
import type { Checkpoint } from "@bitdiet/zoo/training/loop";
import * as tf from "@tensorflow/tfjs-core";
import { trainFloat } from "./float.js";
import { type Options, parseOptions } from "./options.js";
import { BATCH, decoded } from "./pictures.js";
import { headlines, reportOf, writeReport } from "./report.js";
import { type Deployment, deploy, fineTuneDetector, judge, type Tuning } from "./task.js";

/** Scales of the entropy-trained network start at this multiple of those that hold the largest value. */
const WIDE_RANGE = 2;
/** Steps from one checkpoint to the next. */
const KEPT_EVERY = 50;

/** One after the other, on this thread. */
async function run(options: Options): Promise<void> {
  const start = performance.now();
  const { training, judged, names } = dataOf(options);
  checkResumed(options);
  await useBackend(options.backend);
  const pictures = await decoded(training, names);
  const stop = untilTold();
  const checkpoint = (name: string): Checkpoint => ({
    path: join(options.out, "training", `${kebab(name)}.safetensors`),
    every: KEPT_EVERY,
    resume: options.resume,
    stop,
  });
  const network = await readLayers(options.features);
  const { steps, seed } = options;
  const float = await trainFloat(network, names.length, pictures, {
    steps,
    seed,
    checkpoint: checkpoint("float"),
  });
  network.dispose();
  const floatJudged = await judge(float, {}, { images: judged, names });
  const deployments = {} as Record<NetworkName, Deployment>;
  for (const name of NETWORK_NAMES) {
    const tuning = { ...tuningOf(options, name), checkpoint: checkpoint(name) };
    const tuned = await fineTuneDetector(float, pictures, NETWORK_TITLES[name], tuning);
    deployments[name] = await deploy(tuned, training, { images: judged, names });
    tf.dispose(tuned.parameters);
  }
  const counts = { training: training.length, judged: judged.length, names };
  const floatBytes = bytesOf(float);
  const seconds = (performance.now() - start) / 1000;
  const report = reportOf(options, counts, { ...floatJudged, bytes: floatBytes }, deployments, seconds);
  await writeReport(options.out, report, { judged, names, float: floatJudged.found, deployments });
  tf.dispose(float);
  printReport(options, report, headlines(report));
}

/**
 * The entropy term does best from coarse steps, so plain quantization runs twice: from the range that just holds the largest
 * value, as is usual, and from the wide one.
 */
function tuningOf(options: Options, name: NetworkName): Omit<Tuning, "checkpoint"> {
  const { bits: activationBits, weightBits, lambda, weightLambda, seed, fineTuneSteps: steps } = options;
  const plain = { activationBits, weightBits, steps, seed, lambda: 0, weightLambda: 0 };
  const tunings = {
    quantized: { ...plain, rangeFactor: 1 },
    quantizedWideRange: { ...plain, rangeFactor: WIDE_RANGE },
    compressionAware: { ...plain, lambda, weightLambda, rangeFactor: WIDE_RANGE },
  };
  return tunings[name];
}

/** What the options point to; what is wrong with it is the user's to mend. */
function dataOf({ data, trainSet, testSet }: Options) {
  const imagesOf = (set: string): VocImage[] => {
    try {
      return vocImages(data, set);
    } catch (error) {
      throw new FailedError((error as Error).message, { cause: error });
    }
  };
  const [training, judged] = [imagesOf(trainSet), imagesOf(testSet)];
  const names = classesOf(training);
  const unknown = classesOf(judged).filter((name) => !names.includes(name));
  if (unknown.length > 0)
    throw new FailedError(`${data}: ${trainSet} has no ${unknown.join(", ")}, but ${testSet} has`);
  if (training.length < BATCH)
    throw new FailedError(
      `${data}: expected ${BATCH} pictures or more in ${trainSet}, got ${training.length}`,
    );
  return { training, judged, names };
}

const bytesOf = (parameters: Parameters): number =>
  4 * Object.values(parameters).reduce((total, { size }) => total + size, 0);

await exitWith("npm run start:detection", async () => {
  const options = parseOptions(process.argv.slice(2));
  if (options) await run(options);
});
