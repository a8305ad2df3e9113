// The main job, `npm start`: train a CNN on real digits, fine-tune it quantized with and without the entropy term, encode
// and decode everything, evaluate what was decoded, and report.
import { join, relative } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { loadDigits } from "../data/mnist.js";
import { digitCnn } from "../models/digit-cnn.js";
import { textTable } from "../report/text-table.js";
import { useBackend } from "../setup.js";
import { traceCurves } from "./curve.js";
import { deploy } from "./deploy.js";
import { fineTune } from "./fine-tune.js";
import { accuracy, trainFloat } from "./float.js";
import { type Options, parseOptions, UsageError } from "./options.js";
import { headlines, reportOf, writeReport } from "./report.js";

async function run(options: Options): Promise<void> {
  const start = performance.now();
  await useBackend(options.backend);
  const { training, test } = loadDigits();
  const { bits, weightBits, lambda, weightLambda, fineTuneEpochs: epochs, seed } = options;
  const tuning = { bits, weightBits, epochs, seed };

  const float = await trainFloat(training, { epochs: options.epochs, seed });
  const floatAccuracy = accuracy(test, (x) => digitCnn(float, x));
  const quantized = await fineTune(float, training, "quantized, no entropy term", {
    ...tuning,
    lambda: 0,
    weightLambda: 0,
  });
  const aware = await fineTune(float, training, "compression-aware", { ...tuning, lambda, weightLambda });

  const deployed = { quantized: deploy(quantized, training, test), aware: deploy(aware, training, test) };
  const curves = options.curve ? await traceCurves(float, training, test, tuning) : undefined;
  const report = reportOf(
    options,
    floatAccuracy,
    float,
    deployed,
    (performance.now() - start) / 1000,
    curves,
  );
  const html = join(options.out, "report.html");
  await writeReport(options.out, report, { float, quantized, aware, deployed, test });

  if (options.json) {
    console.log(JSON.stringify(report, null, 2));
  } else {
    console.log(`\n${textTable(...headlines(report))}\n`);
    console.log(`${report.summary}\n\nReport: ${relative(process.cwd(), html)} and report.json beside it.`);
  }
  tf.dispose([float, quantized.parameters, aware.parameters]);
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
