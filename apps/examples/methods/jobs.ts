// A sweep as a list of jobs that do not depend on each other, a line of JSON each: what to make and from what. Whoever
// starts processes, on whatever machine, starts one for each index of the list.
// Example: {"id":"cat.plain-4-2","recipe":"cat","run":"plain-4-2","data":"/data/cifar10","steps":300,…}
import { existsSync, readFileSync } from "node:fs";
import { type Flags, UsageError } from "@bitdiet/zoo/runner/command-line";
import { sourceOf, type TestbedSource } from "./options.js";
import type { Recipe, Run } from "./recipe.js";
import { RECIPES } from "./recipes.js";
import { type Conditions, conditions } from "./run.js";

export interface Job {
  recipe: Recipe;
  run: Run;
  source: TestbedSource;
}

/** What the job's row will say it depends on. */
export const conditionsOf = ({ recipe, run, source }: Job): Conditions =>
  conditions(recipe, run, { ...source, images: source.testImages });

/** Every network of these recipes whose id begins so, as lines; the same list for the same options. */
export function planLines(recipes: readonly Recipe[], source: TestbedSource, only = ""): string[] {
  const { testImages: images, ...rest } = source;
  return recipes.flatMap((recipe) =>
    recipe.runs
      .filter(({ id }) => id.startsWith(only))
      .map(({ id: run }) =>
        JSON.stringify({ id: `${recipe.name}.${run}`, recipe: recipe.name, run, images, ...rest }),
      ),
  );
}

/** The jobs of a list. @throws {UsageError} naming the line that is no job */
export function readJobs(path: string): Job[] {
  if (!existsSync(path)) throw new UsageError(`${path}: expected a list of jobs, got no file`);
  // npm says what it runs in front of what is printed, in lines that begin so.
  const lines = readFileSync(path, "utf8").split("\n");
  const jobs = lines.flatMap((line, i) =>
    line.trim() === "" || line.startsWith("> ") ? [] : [jobOf(line, `${path}: line ${i + 1}`)],
  );
  if (jobs.length === 0) throw new UsageError(`${path}: expected jobs, a line each, got none`);
  return jobs;
}

function jobOf(line: string, where: string): Job {
  try {
    const flags = JSON.parse(line) as Flags;
    const recipe = RECIPES.find(({ name }) => name === flags?.["recipe"]);
    const run = recipe?.runs.find(({ id }) => id === flags["run"]);
    if (!recipe || !run)
      throw new UsageError(`expected a run of a recipe, got ${flags?.["recipe"]}.${flags?.["run"]}`);
    return { recipe, run, source: sourceOf(flags) };
  } catch (error) {
    throw new UsageError(`${where}: ${(error as Error).message}`);
  }
}
