// The main job, `npm start`: train a CNN on real digits, fine-tune it quantized with and without the entropy term, encode
// and decode everything, evaluate what was decoded, and report.
import { join, relative } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { loadDigits } from "../data/mnist.js";
import { digitCnn } from "../models/digit-cnn.js";
import { textTable } from "../report/text-table.js";
import { useBackend } from "../setup.js";
import { traceCurves } from "./curve.js";
import { type Deployment, deploy } from "./deploy.js";
import { type FineTuning, fineTune, type QuantizedNetwork } from "./fine-tune.js";
import { accuracy, trainFloat } from "./float.js";
import { type Options, parseOptions, UsageError } from "./options.js";
import { headlines, NETWORK_TITLES, type NetworkName, reportOf, writeReport } from "./report.js";

/** Activation ranges of the entropy-trained network start at this multiple of the largest calibration value. */
const WIDE_RANGE = 3;

async function run(options: Options): Promise<void> {
  const start = performance.now();
  await useBackend(options.backend);
  const { training, test } = loadDigits();
  const { bits, weightBits, lambda, weightLambda, fineTuneEpochs: epochs, seed } = options;
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
  const networks = {} as Record<NetworkName, QuantizedNetwork>;
  const deployments = {} as Record<NetworkName, Deployment>;
  for (const name of Object.keys(runs) as NetworkName[]) {
    networks[name] = await fineTune(float, training, NETWORK_TITLES[name], runs[name]);
    deployments[name] = deploy(networks[name], training, test);
  }

  const curves = options.curve ? await traceCurves(float, training, test, tuning, WIDE_RANGE) : undefined;
  const seconds = (performance.now() - start) / 1000;
  const report = reportOf(options, floatAccuracy, float, deployments, seconds, curves);
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

try {
  const options = parseOptions(process.argv.slice(2));
  if (options) await run(options);
} catch (error) {
  console.error(
    error instanceof UsageError ? `npm start: ${error.message} (see npm start -- --help)` : error,
  );
  process.exit(error instanceof UsageError ? 2 : 1);
}
