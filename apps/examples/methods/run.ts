// Runs recipes and keeps each network's results in a file of its own, written whole: a stopped job goes on with the
// first network that has none, and one network can be made again by its own command.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "../report/write.js";
import type { Ground } from "./ground.js";
import { groundOf, type Recipe, type Row, type Run } from "./recipe.js";

export interface RunOptions {
  /** Folder of the result files. */
  results: string;
  /** Make results again that are there. */
  fresh: boolean;
  /** Only the runs whose id begins with this. */
  only?: string;
  /** Where a run trains; on the ground's own thread unless given. */
  trainOn?: (recipe: string, run: string) => Ground["trainOn"];
}

/** Makes the rows that are missing, one network at a time. @returns all rows of these recipes */
export async function runRecipes(
  recipes: Recipe[],
  ground: Ground,
  { results, fresh, only = "", trainOn = () => ground.trainOn }: RunOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const recipe of recipes) {
    for (const run of recipe.runs) {
      if (!run.id.startsWith(only)) continue;
      const path = join(results, `${recipe.name}.${run.id}.json`);
      const expected = conditions(recipe, run, ground);
      const stored = !fresh && existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Row) : undefined;
      rows.push(
        isSame(stored, expected)
          ? stored
          : await runOne(run, { ...ground, trainOn: trainOn(recipe.name, run.id) }, expected, path),
      );
    }
  }
  return rows;
}

type Conditions = Omit<Row, "accuracy" | "activations" | "weights" | "notes" | "seconds">;

/** All that a row depends on besides the code. */
function conditions(
  recipe: Recipe,
  run: Run,
  { steps, batch, distill, seed, test, codedImages }: Ground,
): Conditions {
  const { id, title, curve, of, trains, longer = 1 } = run;
  const images = test.labels.length;
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
    command:
      `npm run method -- ${recipe.name} --run ${id}${training} ` +
      `--images ${images} --coded-images ${coded} --seed ${seed}`,
  };
}

function isSame(stored: Row | undefined, expected: Conditions): stored is Row {
  return (
    stored !== undefined &&
    (["steps", "batch", "distill", "seed", "images", "codedImages"] as const).every(
      (key) => stored[key] === expected[key],
    )
  );
}

async function runOne(run: Run, ground: Ground, conditions: Conditions, path: string): Promise<Row> {
  const start = performance.now();
  const measured = await run.measure(groundOf(run, ground));
  const row: Row = { ...conditions, ...measured, seconds: Math.round((performance.now() - start) / 1000) };
  writeWhole(path, `${JSON.stringify(row, null, 1)}\n`);
  return row;
}
