// Runs recipes and keeps each network's results in a file of its own, written whole: a stopped job goes on with the
// first network that has none, and one network can be made again by its own command.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "@bitdiet/zoo/report/write";
import type { TrainOn } from "@bitdiet/zoo/training/fine-tune";
import { type Recipe, type Row, type Run, testbedOf } from "./recipe.js";
import type { Testbed } from "./testbed.js";

export interface RunOptions {
  /** Folder of the result files. */
  results: string;
  /** Make results again that are there. */
  fresh: boolean;
  /** Only the runs whose id begins with this. */
  only?: string;
  /** Where a run trains; on the testbed's own thread unless given. */
  trainOn?: (recipe: string, run: string) => TrainOn;
}

/** Makes the rows that are missing, one network at a time. @returns all rows of these recipes */
export async function runRecipes(
  recipes: Recipe[],
  testbed: Testbed,
  { only = "", ...options }: RunOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const recipe of recipes) {
    for (const run of recipe.runs) {
      if (run.id.startsWith(only)) rows.push(await rowOf(recipe, run, testbed, options));
    }
  }
  return rows;
}

/** A network's row: the stored one, or made now, if there is none of these conditions. */
export async function rowOf(
  recipe: Recipe,
  run: Run,
  testbed: Testbed,
  { results, fresh, trainOn = () => testbed.trainOn }: Omit<RunOptions, "only">,
): Promise<Row> {
  const expected = conditions(recipe, run, { ...testbed, images: testbed.test.labels.length });
  const stored = fresh ? undefined : storedRow(results, expected);
  if (stored) return stored;
  const start = performance.now();
  const measured = await run.measure(testbedOf(run, { ...testbed, trainOn: trainOn(recipe.name, run.id) }));
  const row: Row = { ...expected, ...measured, seconds: Math.round((performance.now() - start) / 1000) };
  writeWhole(pathOf(results, expected), `${JSON.stringify(row, null, 1)}\n`);
  return row;
}

export type Conditions = Omit<Row, "accuracy" | "activations" | "weights" | "notes" | "seconds">;

type Start = Pick<Testbed, "steps" | "batch" | "distill" | "seed" | "codedImages">;

/** All that a row depends on besides the code and the float start. @param start `images` are those of the test */
export function conditions(
  recipe: Recipe,
  run: Run,
  { steps, batch, distill, seed, images, codedImages }: Start & { images: number },
): Conditions {
  const { id, title, curve, of, trains, longer = 1 } = run;
  const coded = Math.min(codedImages, images);
  const training = trains ? ` --steps ${steps} --batch ${batch} --distill ${distill}` : "";
  return {
    recipe: recipe.name,
    id,
    title,
    curve,
    of,
    steps: trains ? steps * longer : 0,
    batch: trains ? batch : 0,
    distill: trains ? distill : 0,
    seed,
    images,
    codedImages: coded,
    ...(of !== "activations" && { unit: "file" as const }),
    command:
      `npm run methods -- ${recipe.name} --run ${id}${training} ` +
      `--images ${images} --coded-images ${coded} --seed ${seed}`,
  };
}

const pathOf = (results: string, { recipe, id }: Conditions) => join(results, `${recipe}.${id}.json`);

/** The row that is there, unless it is of other conditions. */
export function storedRow(results: string, expected: Conditions): Row | undefined {
  const path = pathOf(results, expected);
  const stored = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Row) : undefined;
  const isSame = (["steps", "batch", "distill", "seed", "images", "codedImages", "unit"] as const).every(
    (key) => stored?.[key] === expected[key],
  );
  return isSame ? stored : undefined;
}

/** Trainings of a run that keep what they have while they are under way. */
export interface Kept {
  trainOn: TrainOn;
  /** Once the run has its row. */
  remove(): void;
}

/** Steps that are lost at most where a run is ended without a word. */
const EVERY = 50;

/**
 * A run's trainings, each with a checkpoint to go on from, under a name that only a run of the same conditions, float start
 * and number of shares takes.
 *
 * @param stop ends the training under way when it is aborted
 * @param depends what a run depends on besides its conditions
 */
export function keeping(
  trainOn: TrainOn,
  { results, row, depends, stop }: { results: string; row: Conditions; depends: string; stop: AbortSignal },
): Kept {
  const hash = createHash("sha256")
    .update(JSON.stringify([row, depends]))
    .digest("hex")
    .slice(0, 16);
  const paths: string[] = [];
  return {
    trainOn(training) {
      const path = join(results, "unfinished", `${row.recipe}.${row.id}.${hash}.${paths.length}.safetensors`);
      paths.push(path);
      return trainOn({ ...training, checkpoint: { path, every: EVERY, resume: true, stop } });
    },
    remove() {
      for (const path of paths) rmSync(path, { force: true });
    },
  };
}
