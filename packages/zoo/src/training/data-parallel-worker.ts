// A worker's side of parallel.ts: gradients of one share of a batch, at the trainer's values.
import { parentPort, workerData } from "node:worker_threads";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "./backend.js";
import type { Replica, StepOrder, StepResult, WorkerStart } from "./data-parallel.js";
import { gradientsOf } from "./loop.js";

const start = workerData.start as WorkerStart;
await useBackend(start.backend);
const { replica } = (await import(start.replica)) as { replica: Replica<unknown> };
const { variables, loss } = await replica(start.options, start.share);
const gradientsAt = gradientsOf(loss);

parentPort?.on("message", async ({ step, progress, values, gradients }: StepOrder) => {
  let at = 0;
  for (const variable of variables) {
    const value = values.slice(at, (at += variable.size));
    tf.tidy(() => variable.assign(tf.tensor(value, variable.shape)));
  }
  const result = await gradientsAt(variables, step, progress);
  at = 0;
  for (const [i, gradient] of result.gradients.entries()) {
    if (gradient) gradients.set(gradient.dataSync<"float32">(), at);
    at += variables[i].size;
  }
  tf.dispose(result.gradients.filter((gradient) => gradient !== undefined));
  const { loss, logged } = result;
  const found = result.gradients.map((gradient) => gradient !== undefined);
  parentPort?.postMessage({ loss, logged, found } satisfies StepResult);
});
parentPort?.postMessage("ready");
