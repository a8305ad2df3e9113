// The worker's side of jobs.ts: fine-tunes, encodes, decodes and evaluates one network at a time.
import { parentPort } from "node:worker_threads";
import * as tf from "@tensorflow/tfjs-core";
import { loadDigits } from "../data/mnist.js";
import { useBackend } from "../setup.js";
import { deploy } from "./deploy.js";
import { fineTuneDigits } from "./fine-tune.js";
import type { Job, JobResult } from "./jobs.js";
import { plainOf, tensorsOf } from "./plain-tensors.js";

const { training, test } = loadDigits();

parentPort?.on("message", async ({ task, backend, start, tuning }: Job) => {
  await useBackend(backend);
  const float = tensorsOf(start);
  const network = await fineTuneDigits(float, training, task, tuning);
  const result: JobResult = {
    parameters: plainOf(network.parameters),
    ranges: network.ranges,
    deployment: deploy(network, training, test),
  };
  tf.dispose([float, network.parameters]);
  parentPort?.postMessage({ result });
});
