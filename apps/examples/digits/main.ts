// The main job, `npm start`: train a CNN on real digits, fine-tune it quantized with and without the entropy term, encode
// and decode everything, evaluate what was decoded, and report.
import { join, relative } from "node:path";
import { loadDigits } from "@bitdiet/zoo/data/mnist";
import { digitCnn } from "@bitdiet/zoo/nets/digit-cnn";
import { textTable } from "@bitdiet/zoo/report/text-table";
import { exitWith } from "@bitdiet/zoo/runner/command-line";
import { plainOf, tensorsOf } from "@bitdiet/zoo/runner/plain-tensors";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { traceCurves } from "./curve.js";
import type { FineTuning } from "./fine-tune.js";
import { accuracy, trainFloat } from "./float.js";
import { type JobResult, runJobs } from "./jobs.js";
import { type Options, parseOptions } from "./options.js";
import {
  headlines,
  NETWORK_NAMES,
  NETWORK_TITLES,
  type NetworkName,
  reportOf,
  writeReport,
} from "./report.js";

/** Activation ranges of the entropy-trained network start at this multiple of the largest calibration value. */
const WIDE_RANGE = 3;

async function run(options: Options): Promise<void> {
  const startTime = performance.now();
  await useBackend(options.backend);
  const { training, test } = loadDigits();
  const { backend, bits, weightBits, lambda, weightLambda, fineTuneEpochs: epochs, seed } = options;
  const tuning = { bits, weightBits, epochs, seed };

  const float = await trainFloat(training, { epochs: options.epochs, seed });
  const floatAccuracy = accuracy(test, (x) => digitCnn(float, x));
  // The entropy term does best from a wide range (coarse steps), which costs plain quantization accuracy. So plain
  // quantization runs twice: from the range that just holds the largest value, as is usual, and from the wide one.
  const runs: Record<NetworkName, FineTuning> = {
    quantized: { ...tuning, lambda: 0, weightLambda: 0, rangeFactor: 1 },
    quantizedWideRange: { ...tuning, lambda: 0, weightLambda: 0, rangeFactor: WIDE_RANGE },
    compressionAware: { ...tuning, lambda, weightLambda, rangeFactor: WIDE_RANGE },
  };
  const start = plainOf(float);
  const jobs = NETWORK_NAMES.map((name) => ({
    task: NETWORK_TITLES[name],
    backend,
    start,
    tuning: runs[name],
  }));
  const results = await runJobs(jobs);
  const ofEach = <T>(get: (result: JobResult) => T) =>
    Object.fromEntries(NETWORK_NAMES.map((name, i) => [name, get(results[i])])) as Record<NetworkName, T>;
  const deployments = ofEach(({ deployment }) => deployment);
  const networks = ofEach(({ parameters, ranges }) => ({
    parameters: tensorsOf(parameters),
    ranges,
    bits,
    weightBits,
  }));
  const curves = options.curve ? await traceCurves(start, backend, tuning, WIDE_RANGE) : undefined;

  const seconds = (performance.now() - startTime) / 1000;
  const digits = { training: training.count, test: test.count };
  const report = reportOf(options, floatAccuracy, float, deployments, digits, seconds, curves);
  const html = join(options.out, "report.html");
  await writeReport(options.out, report, { float, networks, test });

  if (options.json) {
    console.log(JSON.stringify(report, null, 2));
  } else {
    console.log(`\n${textTable(...headlines(report))}\n`);
    console.log(`${report.summary}\n\nReport: ${relative(process.cwd(), html)} and report.json beside it.`);
  }
  tf.dispose([float, ...Object.values(networks).map(({ parameters }) => parameters)]);
}

await exitWith("npm start", async () => {
  const options = parseOptions(process.argv.slice(2));
  if (options) await run(options);
});
