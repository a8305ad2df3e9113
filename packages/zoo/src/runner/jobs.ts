// Runs that don't depend on each other, on as many worker threads as there are cores. A job and its result are plain data;
// each worker has a wasm backend of its own, and a run's result doesn't depend on what runs beside it.
// Example: `await runJobs<Job, JobResult>(new URL("./task.ts", import.meta.url), jobs)`
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { nextMessage } from "./next-message.js";
import { showProgressOf } from "./progress.js";

/**
 * Runs every job; results are in the jobs' order. The first failure stops all.
 *
 * @param module URL of TypeScript that exports `answer`: a job to its result
 */
export async function runJobs<Job, Result>(module: URL, jobs: readonly Job[]): Promise<Result[]> {
  const results: Result[] = new Array(jobs.length);
  const workers: Worker[] = [];
  let next = 0;
  const workThrough = async () => {
    const worker = new Worker(new URL("./typescript-worker.mjs", import.meta.url), {
      workerData: { module: new URL("./job-worker.ts", import.meta.url).href, answers: module.href },
    });
    workers.push(worker);
    showProgressOf(worker);
    while (next < jobs.length) {
      const index = next++;
      results[index] = await runOn<Job, Result>(worker, jobs[index]);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(jobs.length, availableParallelism()) }, workThrough));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return results;
}

async function runOn<Job, Result>(worker: Worker, job: Job): Promise<Result> {
  // Progress comes this way, too.
  const answer = nextMessage<{ result: Result }>(worker, (message) => "result" in message);
  worker.postMessage(job);
  return (await answer).result;
}
