// The worker's side of jobs.ts: fine-tunes, encodes, decodes and evaluates one network at a time.

import { loadDigits } from "@bitdiet/zoo/data/mnist";
import { answerJobs } from "@bitdiet/zoo/runner/jobs";
import { plainOf, tensorsOf } from "@bitdiet/zoo/runner/plain-tensors";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { deploy } from "./deploy.js";
import { fineTuneDigits } from "./fine-tune.js";
import type { Job, JobResult } from "./jobs.js";

const { training, test } = loadDigits();

answerJobs<Job, JobResult>(async ({ task, backend, start, tuning }) => {
  await useBackend(backend);
  const float = tensorsOf(start);
  const network = await fineTuneDigits(float, training, task, tuning);
  const result: JobResult = {
    parameters: plainOf(network.parameters),
    ranges: network.ranges,
    deployment: deploy(network, training, test),
  };
  tf.dispose([float, network.parameters]);
  return result;
});
