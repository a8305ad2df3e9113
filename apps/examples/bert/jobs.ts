// A fine-tuning run of a BERT as a job for a worker thread: plain data in, plain data out.
import * as jobs from "../jobs.js";
import type { BertConfig } from "../models/bert.js";
import type { PlainTensors } from "../plain-tensors.js";
import type { FrozenRange, Ranges } from "../quantized.js";
import type { Backend } from "../setup.js";
import type { EncodedData } from "./batches.js";
import type { Deployment } from "./deploy.js";
import type { FineTuning } from "./fine-tune.js";

export interface Job {
  /** What the progress line says. */
  task: string;
  backend: Backend;
  /** The float network to start from. */
  start: PlainTensors;
  config: BertConfig;
  training: EncodedData;
  development: Record<string, EncodedData>;
  tuning: FineTuning;
}

export interface JobResult {
  parameters: PlainTensors;
  ranges: Ranges<FrozenRange>;
  deployment: Deployment;
}

/** Runs every job on a worker thread; results are in the jobs' order. */
export const runJobs = (all: Job[]): Promise<JobResult[]> =>
  jobs.runJobs(new URL("./job-worker.ts", import.meta.url), all);
