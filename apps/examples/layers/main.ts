// `npm run start:layers`: a LayersModel on real digits to .bitdiet files: rounded as it is, fine-tuned quantized, and fine-tuned with
// the entropy of weights and activations in the loss.
import { join, relative, resolve } from "node:path";
import { compressionAware } from "@bitdiet/compression-aware";
import { loadDigits } from "@bitdiet/zoo/data/mnist";
import { textTable } from "@bitdiet/zoo/report/text-table";
import { writeWhole } from "@bitdiet/zoo/report/write";
import { exitWith, parseFlags, pathFlag } from "@bitdiet/zoo/runner/command-line";
import {
  addEpochs,
  addJobOptions,
  type Epochs,
  epochs,
  type JobOptions,
  jobOptions,
} from "@bitdiet/zoo/runner/job-options";
import { useBackend } from "@bitdiet/zoo/training/backend";
import type * as tf from "@tensorflow/tfjs-core";
import cac from "cac";
import { accuracyOf, digitModel, examplesOf, fineTune, type Judgement, judge, trainFloat } from "./task.js";

interface Options extends JobOptions, Epochs {
  out: string;
}

const DEFAULTS: Options = {
  bits: 4,
  weightBits: 5,
  lambda: 0.025,
  weightLambda: 0.012,
  epochs: 3,
  fineTuneEpochs: 7,
  seed: 1,
  out: "out/layers",
  backend: "wasm",
  json: false,
};

/** Where activations' steps start, in multiples of those that just hold the first batch: coarse steps are the first lever. */
const RANGE_FACTOR = 2;

function parseOptions(argv: string[]): Options | undefined {
  const cli = cac("npm run start:layers --");
  const d = DEFAULTS;
  const command = cli.command(
    "",
    "Train a model of TF.js's layers on digits to be compressible; save, load, evaluate",
  );
  addEpochs(addJobOptions(command, d, 1), d)
    .option("--out <dir>", `Where the files go (default apps/examples/${d.out})`)
    .action(() => {});
  const parsed = parseFlags(cli, argv);
  if (parsed === undefined) return undefined;
  const { flags } = parsed;
  return {
    ...jobOptions(flags, d, 1),
    ...epochs(flags, d),
    out: pathFlag(flags, "out", resolve(import.meta.dirname, "..", d.out)),
  };
}

async function run({
  bits,
  weightBits,
  lambda,
  weightLambda,
  seed,
  out,
  json,
  ...options
}: Options): Promise<void> {
  const start = performance.now();
  await useBackend(options.backend);
  const digits = loadDigits();
  const [training, test] = [examplesOf(digits.training), examplesOf(digits.test)];
  const network = digitModel(seed);
  await trainFloat(network, training, options.epochs);
  const floatAccuracy = accuracyOf(network.predict(test.x) as tf.Tensor2D, test.y);
  const results: Record<string, Judgement> = {};
  const finish = async (name: string, aware: ReturnType<typeof compressionAware>) => {
    results[name] = await judge(aware, test);
    writeWhole(join(out, `${name.replaceAll(/\W+/g, "-")}.bitdiet`), await aware.bytes());
    aware.dispose();
  };
  await finish("rounded", compressionAware(network, { weightBits, lambda: 0 }));
  const tuning = { bits, weightBits, epochs: options.fineTuneEpochs };
  const print = (line: string) => console.error(line);
  const runs = {
    "lambda 0": { ...tuning, lambda: 0, weightLambda: 0, rangeFactor: 1 },
    "lambda 0 wide range": { ...tuning, lambda: 0, weightLambda: 0, rangeFactor: RANGE_FACTOR },
    "compression-aware": { ...tuning, lambda, weightLambda, rangeFactor: RANGE_FACTOR },
  };
  for (const [name, each] of Object.entries(runs)) {
    console.error(`${name}:`);
    await finish(name, await fineTune(network, training, each, print));
  }
  const seconds = Math.round((performance.now() - start) / 100) / 10;
  if (json) {
    console.log(
      JSON.stringify({ floatAccuracy, results, seed, seconds, weights: network.countParams() }, null, 2),
    );
    return;
  }
  console.log(tableOf(floatAccuracy, 4 * network.countParams(), results));
  console.log(`\n${activationTable(results)}`);
  console.log(`${seconds} s; files in ${relative(process.cwd(), out)}`);
}

function tableOf(floatAccuracy: number, floatBytes: number, results: Record<string, Judgement>): string {
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  const head = [
    "network",
    "accuracy",
    "bits/weight",
    "bits/activation",
    "file, bytes",
    "packed + brotli",
    "loaded equals trained",
  ];
  const rows = Object.entries(results).map(([name, result]) => [
    name,
    percent(result.accuracy),
    result.bitsPerWeight.toFixed(3),
    result.bitsPerActivation?.toFixed(3) ?? "32",
    result.bytes.toLocaleString("en-US"),
    result.packedBrotliBytes.toLocaleString("en-US"),
    result.isEqual ? "yes" : "NO",
  ]);
  return textTable(head, [
    ["float32", percent(floatAccuracy), "32", "32", floatBytes.toLocaleString("en-US"), "", ""],
    ...rows,
  ]);
}

/** Bits of each layer's activations. */
function activationTable(results: Record<string, Judgement>): string {
  const runs = Object.entries(results).filter(([, { activations }]) => activations.length > 0);
  const layers = runs[0][1].activations.map(({ name }) => name);
  const bitsAt = (at: number) => runs.map(([, { activations }]) => activations[at].bits.toFixed(3));
  return textTable(
    ["bits/activation after", ...runs.map(([name]) => name)],
    layers.map((name, at) => [name, ...bitsAt(at)]),
  );
}

await exitWith("npm run start:layers", async () => {
  const options = parseOptions(process.argv.slice(2));
  if (options) await run(options);
});
