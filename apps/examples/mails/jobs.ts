// A fine-tuning run of a BERT as a job for a worker thread: plain data in, plain data out.

import type { EncodedData } from "@bitdiet/zoo/data/text-batches";
import type { BertConfig } from "@bitdiet/zoo/nets/bert";
import * as jobs from "@bitdiet/zoo/runner/jobs";
import type { PlainTensors } from "@bitdiet/zoo/runner/plain-tensors";
import type { Backend } from "@bitdiet/zoo/training/backend";
import type { FineTuning } from "@bitdiet/zoo/training/bert";
import type { FrozenRange, Ranges } from "@bitdiet/zoo/training/quantized";
import type { Deployment } from "./deploy.js";

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
