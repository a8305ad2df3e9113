// `npm run methods -- NAME` and `npm run methods`: runs recipes on the common testbed, keeps their results, and draws the
// table and the curves of all results there are. Many machines share the work by `plan`, `run` and `collect`: see cluster/.
import { join } from "node:path";
import { launchOf } from "@bitdiet/zoo/ring/launch";
import { joinRanks, oneRank, type Ranks } from "@bitdiet/zoo/ring/ranks";
import { arrayIndex } from "@bitdiet/zoo/runner/array-index";
import { exitWith, FailedError } from "@bitdiet/zoo/runner/command-line";
import { untilTold } from "@bitdiet/zoo/runner/interruption";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { trainHere } from "@bitdiet/zoo/training/fine-tune";
import { sharedFloats } from "@bitdiet/zoo/training/flat-values";
import * as tf from "@tensorflow/tfjs-core";
import { float } from "./float.js";
import { conditionsOf, type Job, planLines, readJobs } from "./jobs.js";
import { type Making, parseWords, RESULTS, ROOM, refuseUnequalShares, type Words } from "./options.js";
import { type Row, testbedOf } from "./recipe.js";
import { keeping, rowOf, runRecipes, storedRow } from "./run.js";
import { writeTable } from "./table.js";
import { loadTestbed, type TestbedSource } from "./testbed.js";
import { trainOnWorkers } from "./workers.js";

const words: Words = {
  async make({ recipes, source, only }, making) {
    await useBackend("wasm");
    const testbed = await loadTestbed(source);
    const { results, fresh } = making;
    // What all are compared with, made once.
    await runRecipes([float], testbed, { results, fresh: false });
    const rows = await runRecipes(recipes, testbed, {
      results,
      fresh,
      only,
      trainOn: trainOn(source, making),
    });
    tf.dispose(testbed.start);
    for (const row of rows) console.log(summary(row));
    await drawTable(results);
  },

  async plan({ recipes, source, only }) {
    const lines = planLines(recipes, source, only);
    console.log(lines.join("\n"));
    console.error(`${lines.length} jobs, indices 0 to ${lines.length - 1}`);
  },

  async run(list, given, making) {
    const jobs = readJobs(list);
    const job = jobs[arrayIndex(jobs.length, given)];
    refuseUnequalShares(job.source, making);
    const stop = untilTold();
    const ranks = making.ranks ? await joinRanks(launchOf()) : oneRank;
    try {
      await makeJob(job, making, ranks, stop);
      await ranks.leave();
    } catch (error) {
      await ranks.leave((error as Error).message);
      throw error;
    }
  },

  async collect(results, list) {
    await drawTable(results);
    if (list === undefined) return;
    const jobs = readJobs(list);
    const missing = [...jobs.keys()].filter((i) => !storedRow(results, conditionsOf(jobs[i])));
    if (missing.length > 0)
      throw new FailedError(`no result of ${missing.length} of ${jobs.length} jobs: ${missing.join(",")}`);
    console.log(`all of ${jobs.length} jobs are done`);
  },
};

/** Makes a job's row, unless rank 0 has it; the other ranks train along. */
async function makeJob(job: Job, making: Making, ranks: Ranks, stop: AbortSignal): Promise<void> {
  const { recipe, run, source } = job;
  const { results, fresh } = making;
  const row = conditionsOf(job);
  const stored = fresh ? undefined : storedRow(results, row);
  const isThere = sharedFloats(1).fill(Number(stored !== undefined));
  await ranks.share(isThere);
  if (isThere[0] > 0) return console.log(stored ? `${summary(stored)}; was there` : "was there");
  await useBackend("wasm");
  const testbed = await loadTestbed(source);
  const where = trainOn(source, making, ranks)?.(recipe.name, run.id) ?? trainHere;
  const cut = making.workers === undefined ? "whole" : `${making.shares} shares`;
  const kept = keeping(where, { results, row, depends: `${source.checkpoint} ${cut}`, stop });
  if (ranks.rank === 0) {
    console.log(
      summary(await rowOf(recipe, run, testbed, { results, fresh: true, trainOn: () => kept.trainOn })),
    );
    kept.remove();
  } else await run.measure(testbedOf(run, { ...testbed, trainOn: kept.trainOn }));
  tf.dispose(testbed.start);
}

const trainOn = (source: TestbedSource, { workers, shares }: Making, ranks?: Ranks) =>
  workers === undefined ? undefined : trainOnWorkers(source, { workers, shares, ranks });

function summary({ title, accuracy, activations, weights }: Row): string {
  const bits = [
    activations && `${activations.coded.toFixed(3)} bit/value`,
    weights && `${weights.coded.toFixed(3)} bit/weight`,
  ].filter(Boolean);
  return [`${title}: ${(100 * accuracy).toFixed(2)} %`, ...bits].join(", ");
}

/** Results of one's own have a table of their own. */
const drawTable = (results: string) =>
  writeTable(results, join(results === RESULTS ? ROOM : results, "README.md"));

await exitWith("npm run methods", async () => parseWords(process.argv.slice(2), words)?.());
