// The digits job, `npm start`: train a CNN on real digits, fine-tune it quantized with and without the entropy term, ship it
// as a .bitdiet file, evaluate what arrived, and report.

import { loadDigits } from "@bitdiet/zoo/data/mnist";
import { digitCnn } from "@bitdiet/zoo/nets/digit-cnn";
import { NETWORK_NAMES, NETWORK_TITLES, type NetworkName } from "@bitdiet/zoo/report/network-titles";
import { printReport } from "@bitdiet/zoo/report/print";
import { exitWith } from "@bitdiet/zoo/runner/command-line";
import { runJob } from "@bitdiet/zoo/runner/job";
import { traceCurves } from "./curve.js";
import { accuracy, trainFloat } from "./float.js";
import { type Options, parseOptions } from "./options.js";
import { headlines, reportOf, writeReport } from "./report.js";
import type { Deployment, Tuning } from "./task.js";

/** Activation scales of the entropy-trained network start at this multiple of those that hold the largest value. */
const WIDE_RANGE = 3;

/** URL of the module with the work of a thread. */
const TASK = new URL("./task.ts", import.meta.url);

function run(options: Options): Promise<void> {
  const { training, test } = loadDigits();
  const { backend, lambda, weightLambda, fineTuneEpochs: epochs, seed } = options;
  const tuning = { activationBits: options.bits, weightBits: options.weightBits, epochs, seed };
  // The entropy term does best from a wide range (coarse steps), which costs plain quantization accuracy. So plain
  // quantization runs twice: from the range that just holds the largest value, as is usual, and from the wide one.
  const tunings: Record<NetworkName, Tuning> = {
    quantized: { ...tuning, lambda: 0, weightLambda: 0, rangeFactor: 1 },
    quantizedWideRange: { ...tuning, lambda: 0, weightLambda: 0, rangeFactor: WIDE_RANGE },
    compressionAware: { ...tuning, lambda, weightLambda, rangeFactor: WIDE_RANGE },
  };
  return runJob<null, Tuning, Deployment>({
    backend,
    module: TASK,
    data: null,
    train: () => trainFloat(training, { epochs: options.epochs, seed }),
    networks: NETWORK_NAMES.map((name) => ({ title: NETWORK_TITLES[name], tuning: tunings[name] })),
    report: async (float, results, seconds) => {
      const floatAccuracy = accuracy(test, (x) => digitCnn(float, x));
      const curves = options.curve
        ? await traceCurves(float, { module: TASK, backend, tuning, rangeFactor: WIDE_RANGE })
        : undefined;
      const deployments = Object.fromEntries(NETWORK_NAMES.map((name, i) => [name, results[i]])) as Record<
        NetworkName,
        Deployment
      >;
      const digits = { training: training.count, test: test.count };
      const report = reportOf(options, floatAccuracy, float, deployments, digits, seconds(), curves);
      await writeReport(options.out, report, { float, deployments, test });
      printReport(options, report, headlines(report));
    },
  });
}

await exitWith("npm start", async () => {
  const options = parseOptions(process.argv.slice(2));
  if (options) await run(options);
});
