// Runs recipes and keeps each network's results in a file of its own, written whole: a stopped job goes on with the
// first network that has none, and one network can be made again by its own command.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeWhole } from "@bitdiet/zoo/report/write";
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
  trainOn?: (recipe: string, run: string) => Testbed["trainOn"];
}

/** Makes the rows that are missing, one network at a time. @returns all rows of these recipes */
export async function runRecipes(
  recipes: Recipe[],
  testbed: Testbed,
  { results, fresh, only = "", trainOn = () => testbed.trainOn }: RunOptions,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const recipe of recipes) {
    for (const run of recipe.runs) {
      if (!run.id.startsWith(only)) continue;
      const path = join(results, `${recipe.name}.${run.id}.json`);
      const expected = conditions(recipe, run, testbed);
      const stored = !fresh && existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Row) : undefined;
      rows.push(
        isSame(stored, expected)
          ? stored
          : await runOne(run, { ...testbed, trainOn: trainOn(recipe.name, run.id) }, expected, path),
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
  { steps, batch, distill, seed, test, codedImages }: Testbed,
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
    ...(of !== "activations" && { unit: "file" as const }),
    command:
      `npm run methods -- ${recipe.name} --run ${id}${training} ` +
      `--images ${images} --coded-images ${coded} --seed ${seed}`,
  };
}

function isSame(stored: Row | undefined, expected: Conditions): stored is Row {
  return (
    stored !== undefined &&
    (["steps", "batch", "distill", "seed", "images", "codedImages", "unit"] as const).every(
      (key) => stored[key] === expected[key],
    )
  );
}

async function runOne(run: Run, testbed: Testbed, conditions: Conditions, path: string): Promise<Row> {
  const start = performance.now();
  const measured = await run.measure(testbedOf(run, testbed));
  const row: Row = { ...conditions, ...measured, seconds: Math.round((performance.now() - start) / 1000) };
  writeWhole(path, `${JSON.stringify(row, null, 1)}\n`);
  return row;
}
