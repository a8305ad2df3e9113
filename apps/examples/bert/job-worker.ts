// The worker's side of jobs.ts: fine-tunes, encodes, decodes and evaluates one network at a time.
import * as tf from "@tensorflow/tfjs-core";
import { answerJobs } from "../jobs.js";
import { plainOf, tensorsOf } from "../plain-tensors.js";
import { useBackend } from "../setup.js";
import { deploy } from "./deploy.js";
import { fineTuneBert } from "./fine-tune.js";
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
