// `npm run methods -- NAME` and `npm run methods`: runs recipes on the common testbed, keeps their results, and draws the
// table and the curves of all results there are.
import { join } from "node:path";
import { exitWith, numberFlag, parseFlags, pathFlag, UsageError } from "@bitdiet/zoo/runner/command-line";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { SHARES } from "@bitdiet/zoo/training/data-parallel";
import * as tf from "@tensorflow/tfjs-core";
import cac from "cac";
import { float } from "./float.js";
import { RECIPES } from "./recipes.js";
import { runRecipes } from "./run.js";
import { writeTable } from "./table.js";
import { loadTestbed, type TestbedSource } from "./testbed.js";
import { trainOnWorkers } from "./workers.js";

const ROOM = import.meta.dirname;
const RESULTS = join(ROOM, "results");

interface Options {
  name?: string;
  source: TestbedSource;
  results: string;
  run?: string;
  fresh: boolean;
  workers?: number;
}

/** @returns the options, or undefined when `--help` was asked for and printed */
export function parseOptions(argv: string[]): Options | undefined {
  const cli = cac("npm run methods --");
  cli
    .command("[name]", `Run one method (${RECIPES.map(({ name }) => name).join(", ")}), or all`)
    .option("--data <dir>", "CIFAR-10 in its official binary layout (npm run data -- cifar10)")
    .option("--checkpoint <file>", "The float ResNet to start from: safetensors with PyTorch's names")
    .option("--steps <n>", "Of fine-tuning (default 300)")
    .option("--batch <n>", "Images of a step (default 32)")
    .option("--distill <x>", "Weight of the float network's answers in the loss, 0 .. 1 (default 1)")
    .option("--seed <n>", "Of data order and sampling (default 1)")
    .option("--images <n>", "Test images, the first so many (default all)")
    .option("--coded-images <n>", "Test images whose feature maps are coded and decoded (default 1000)")
    .option("--run <id>", "Only the networks whose id begins so")
    .option("--results <dir>", "Where results are kept (default apps/examples/methods/results)")
    .option(
      "--workers <n>",
      "Threads for the 4 shares of each batch: any number gives the same run (default: batches as a whole, on this thread)",
    )
    .option("--fresh", "Make results again that are there")
    .action(() => {});
  const parsed = parseFlags(cli, argv);
  if (parsed === undefined) return undefined;
  const { flags } = parsed;
  const name = parsed.args[0];
  if (name !== undefined && !RECIPES.some((recipe) => recipe.name === name)) {
    const names = RECIPES.map((recipe) => recipe.name).join(", ");
    throw new UsageError(`NAME: expected one of ${names}, got "${name}"`);
  }
  const number = (flag: string, fallback: number, least: number, most: number, whole = true) =>
    numberFlag(flags, flag, { fallback, least, most, whole });
  const batch = number("batch", 32, 1, 1000);
  const workers = flags["workers"] === undefined ? undefined : number("workers", 1, 1, 64);
  if (workers !== undefined && batch % SHARES !== 0)
    throw new UsageError(`--workers: expected a batch that has ${SHARES} equal shares, got one of ${batch}`);
  return {
    name,
    source: {
      data: pathFlag(flags, "data"),
      checkpoint: pathFlag(flags, "checkpoint"),
      steps: number("steps", 300, 1, 1e6),
      batch,
      distill: number("distill", 1, 0, 1, false),
      seed: number("seed", 1, 0, 2 ** 31 - 1),
      testImages: number("images", 10_000, 100, 10_000),
      codedImages: number("codedImages", 1000, 100, 10_000),
    },
    results: pathFlag(flags, "results", RESULTS),
    run: flags["run"] === undefined ? undefined : String(flags["run"]),
    fresh: flags["fresh"] === true,
    workers,
  };
}

async function run({ name, source, run, results, fresh, workers }: Options): Promise<void> {
  await useBackend("wasm");
  const testbed = await loadTestbed(source);
  const recipes = RECIPES.filter((recipe) => name === undefined || recipe.name === name);
  const trainOn = workers === undefined ? undefined : trainOnWorkers(source, workers);
  // What all are compared with, made once.
  await runRecipes([float], testbed, { results, fresh: false });
  const rows = await runRecipes(recipes, testbed, { results, fresh, only: run, trainOn });
  tf.dispose(testbed.start);
  for (const { title, accuracy, activations, weights } of rows) {
    const bits = [
      activations && `${activations.coded.toFixed(3)} bit/value`,
      weights && `${weights.coded.toFixed(3)} bit/weight`,
    ].filter(Boolean);
    console.log([`${title}: ${(100 * accuracy).toFixed(2)} %`, ...bits].join(", "));
  }
  // Results of one's own have a table of their own.
  await writeTable(results, join(results === RESULTS ? ROOM : results, "README.md"));
}

if (process.argv[1] === import.meta.filename) {
  await exitWith("npm run methods", async () => {
    const options = parseOptions(process.argv.slice(2));
    if (options) await run(options);
  });
}
