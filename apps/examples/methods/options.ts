// The command line of `npm run methods`, and what its words ask for.
import { join } from "node:path";
import { type Flags, numberFlag, parseFlags, pathFlag, UsageError } from "@bitdiet/zoo/runner/command-line";
import { SHARES } from "@bitdiet/zoo/training/data-parallel";
import cac, { type Command } from "cac";
import type { Recipe } from "./recipe.js";
import { RECIPES } from "./recipes.js";
import type { TestbedSource } from "./testbed.js";

export type { TestbedSource };

/** Where results are kept and the table is, unless a folder is given: this one. */
export const ROOM = import.meta.dirname;
export const RESULTS = join(ROOM, "results");

/** What is made, from what. */
export interface Sweep {
  recipes: Recipe[];
  source: TestbedSource;
  /** Only the networks whose id begins so. */
  only?: string;
}

/** How networks are made. */
export interface Making {
  results: string;
  fresh: boolean;
  /** Threads, where a batch is cut into shares. */
  workers?: number;
  /** Parts of each batch, summed in their order. */
  shares: number;
  /** Whether the ranks that srun or mpirun started train together. */
  ranks: boolean;
}

/** What the words of the command line do. */
export interface Words {
  make(sweep: Sweep, making: Making): Promise<void>;
  plan(sweep: Sweep): Promise<void>;
  /** @param index as given, of a list of jobs */
  run(list: string, index: unknown, making: Making): Promise<void>;
  collect(results: string, list?: string): Promise<void>;
}

/**
 * @returns what was asked for, to be run; undefined when `--help` was asked for and printed
 * @throws {UsageError} naming the flag that is wrong
 */
export function parseWords(argv: string[], words: Words): (() => Promise<void>) | undefined {
  const cli = cac("npm run methods --");
  const names = RECIPES.map(({ name }) => name).join(", ");
  testbedOptions(cli.command("plan [name]", "Print a job a network, a line each, for `run`")).action(
    () => {},
  );
  makingOptions(cli.command("run <jobs>", "Make one network of such a list"))
    .option(
      "--ranks",
      "Train it together with the other ranks that srun or mpirun started: see cluster/README.md",
    )
    .option("--index <n>", "Which, from 0 (default: what Slurm, Kubernetes, AWS Batch or GNU parallel say)")
    .action(() => {});
  resultsOption(
    cli.command("collect [jobs]", "Draw tables and plots of the results there are; say what is missing"),
  ).action(() => {});
  makingOptions(
    testbedOptions(cli.command("[name]", `Make the networks of one method (${names}), or of all`)),
  ).action(() => {});
  const parsed = parseFlags(cli, argv);
  if (parsed === undefined) return undefined;
  const { command, flags, args } = parsed;
  if (command === "plan") {
    const sweep = sweepOf(args[0], flags);
    return () => words.plan(sweep);
  }
  if (command === "run") {
    const [list, making] = [pathFlag({ jobs: args[0] }, "jobs"), makingOf(flags)];
    return () => words.run(list, flags["index"], making);
  }
  if (command === "collect") {
    const list = args[0] === undefined ? undefined : pathFlag({ jobs: args[0] }, "jobs");
    return () => words.collect(pathFlag(flags, "results", RESULTS), list);
  }
  const [sweep, making] = [sweepOf(args[0], flags), makingOf(flags)];
  refuseUnequalShares(sweep.source, making);
  return () => words.make(sweep, making);
}

const testbedOptions = (command: Command): Command =>
  command
    .option("--data <dir>", "CIFAR-10 in its official binary layout (npm run data -- cifar10)")
    .option("--checkpoint <file>", "The float ResNet to start from: safetensors with PyTorch's names")
    .option("--steps <n>", "Of fine-tuning (default 300)")
    .option("--batch <n>", "Images of a step (default 32)")
    .option("--distill <x>", "Weight of the float network's answers in the loss, 0 .. 1 (default 1)")
    .option("--seed <n>", "Of data order and sampling (default 1)")
    .option("--images <n>", "Test images, the first so many (default all)")
    .option("--coded-images <n>", "Test images whose feature maps are coded and decoded (default 1000)")
    .option("--run <id>", "Only the networks whose id begins so");

const resultsOption = (command: Command): Command =>
  command.option("--results <dir>", "Where results are kept (default apps/examples/methods/results)");

const makingOptions = (command: Command): Command =>
  resultsOption(command)
    .option(
      "--workers <n>",
      "Threads for the shares of each batch: any number gives the same run (default: batches as a whole, on this thread)",
    )
    .option(
      "--shares <n>",
      `Parts of each batch, for threads and ranks: results depend on it (default ${SHARES})`,
    )
    .option("--fresh", "Make results again that are there");

function sweepOf(name: string | undefined, flags: Flags): Sweep {
  const recipes = RECIPES.filter((recipe) => name === undefined || recipe.name === name);
  if (recipes.length === 0) {
    const names = RECIPES.map((recipe) => recipe.name).join(", ");
    throw new UsageError(`NAME: expected one of ${names}, got "${name}"`);
  }
  return {
    recipes,
    source: sourceOf(flags),
    only: flags["run"] === undefined ? undefined : String(flags["run"]),
  };
}

/** What networks are made from, by flags or by a job's own words for them. @throws {UsageError} naming the flag */
export function sourceOf(flags: Flags): TestbedSource {
  const number = (flag: string, fallback: number, least: number, most: number, whole = true) =>
    numberFlag(flags, flag, { fallback, least, most, whole });
  return {
    data: pathFlag(flags, "data"),
    checkpoint: pathFlag(flags, "checkpoint"),
    steps: number("steps", 300, 1, 1e6),
    batch: number("batch", 32, 1, 1000),
    distill: number("distill", 1, 0, 1, false),
    seed: number("seed", 1, 0, 2 ** 31 - 1),
    testImages: number("images", 10_000, 100, 10_000),
    codedImages: number("codedImages", 1000, 100, 10_000),
  };
}

function makingOf(flags: Flags): Making {
  const number = (flag: string, fallback: number, most: number) =>
    numberFlag(flags, flag, { fallback, least: 1, most });
  const ranks = flags["ranks"] === true;
  return {
    results: pathFlag(flags, "results", RESULTS),
    fresh: flags["fresh"] === true,
    workers: flags["workers"] === undefined && !ranks ? undefined : number("workers", 1, 64),
    shares: number("shares", SHARES, 1000),
    ranks,
  };
}

/** @throws {UsageError} if threads or ranks were asked for and the batch cannot be cut for them */
export function refuseUnequalShares({ batch }: TestbedSource, { workers, shares }: Making): void {
  if (workers !== undefined && batch % shares !== 0)
    throw new UsageError(`--shares: expected a batch that has ${shares} equal ones, got one of ${batch}`);
}
