// A fine-tuning run of the digits as a job for a worker thread: plain data in, plain data out.

import * as jobs from "@bitdiet/zoo/runner/jobs";
import type { PlainTensors } from "@bitdiet/zoo/runner/plain-tensors";
import type { Backend } from "@bitdiet/zoo/training/backend";
import type { Ranges } from "@bitdiet/zoo/training/quantized";
import type { Deployment } from "./deploy.js";
import type { FineTuning } from "./fine-tune.js";

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

/** Runs every job on a worker thread; results are in the jobs' order. */
export const runJobs = (all: Job[]): Promise<JobResult[]> =>
  jobs.runJobs(new URL("./job-worker.ts", import.meta.url), all);
