// Fine-tuning runs that don't depend on each other, on as many worker threads as there are cores. A job and its result
// are plain data; each worker has a wasm backend of its own, and a run's result doesn't depend on what runs beside it.
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { showProgressOf } from "../progress.js";
import type { Ranges } from "../quantized.js";
import type { Backend } from "../setup.js";
import type { Deployment } from "./deploy.js";
import type { FineTuning } from "./fine-tune.js";
import type { PlainTensors } from "./plain-tensors.js";

export interface Job {
  /** What the progress line says. */
  task: string;
  backend: Backend;
  /** The float network to start from. */
  start: PlainTensors;
  tuning: FineTuning;
}

export interface JobResult {
  parameters: PlainTensors;
  ranges: Ranges<number>;
  deployment: Deployment;
}

/** Runs every job; results are in the jobs' order. The first failure stops all. */
export async function runJobs(jobs: Job[]): Promise<JobResult[]> {
  const results: JobResult[] = new Array(jobs.length);
  const workers: Worker[] = [];
  let next = 0;
  const workThrough = async () => {
    const worker = new Worker(new URL("../typescript-worker.mjs", import.meta.url), {
      workerData: { module: new URL("./job-worker.ts", import.meta.url).href },
    });
    workers.push(worker);
    showProgressOf(worker);
    while (next < jobs.length) {
      const index = next++;
      results[index] = await runOn(worker, jobs[index]);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(jobs.length, availableParallelism()) }, workThrough));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return results;
}

function runOn(worker: Worker, job: Job): Promise<JobResult> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: { result?: JobResult }) => {
      if (!message.result) return;
      worker.off("message", onMessage);
      worker.off("error", reject);
      resolve(message.result);
    };
    worker.on("message", onMessage);
    worker.once("error", reject);
    worker.postMessage(job);
  });
}
