// The worker's side of jobs.ts: fine-tunes, encodes, decodes and evaluates one network at a time.

import { answerJobs } from "@bitdiet/zoo/runner/jobs";
import { plainOf, tensorsOf } from "@bitdiet/zoo/runner/plain-tensors";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { fineTuneBert } from "@bitdiet/zoo/training/bert";
import * as tf from "@tensorflow/tfjs-core";
import { deploy } from "./deploy.js";
import type { Job, JobResult } from "./jobs.js";

answerJobs<Job, JobResult>(async ({ task, backend, start, config, training, development, tuning }) => {
  await useBackend(backend);
  const float = tensorsOf(start);
  const network = await fineTuneBert(float, config, training, task, tuning);
  const result: JobResult = {
    parameters: plainOf(network.parameters),
    ranges: network.ranges,
    deployment: deploy(network, config, training, development),
  };
  tf.dispose([float, network.parameters]);
  return result;
});
