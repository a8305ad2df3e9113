// A worker's side of data-parallel.ts: gradients of its shares of a batch, at the trainer's values.
import { parentPort, workerData } from "node:worker_threads";
import * as tf from "@tensorflow/tfjs-core";
import { useBackend } from "./backend.js";
import type { Replica, StepOrder, StepResult, WorkerStart } from "./data-parallel.js";
import { assignValues, copyValues } from "./flat-values.js";
import { gradientsOf } from "./loop.js";

const start = workerData.start as WorkerStart;
await useBackend(start.backend);
const { replica } = (await import(start.replica)) as { replica: Replica<unknown> };
const replicas: Awaited<ReturnType<typeof replica>>[] = [];
// One after the other: what they draw from a shared seed must not depend on which is faster.
for (const share of start.shares) replicas.push(await replica(start.options, share));

parentPort?.on("message", async ({ step, progress, values, gradients }: StepOrder) => {
  const results: StepResult[] = [];
  for (const [i, { variables, loss }] of replicas.entries()) {
    assignValues(variables, values);
    const found = await gradientsOf(loss)(variables, step, progress);
    copyValues(found.gradients, variables, gradients[i]);
    tf.dispose(found.gradients.filter((gradient) => gradient !== undefined));
    results.push({
      loss: found.loss,
      logged: found.logged,
      found: found.gradients.map((gradient) => gradient !== undefined),
    });
  }
  parentPort?.postMessage(results);
});
parentPort?.postMessage("ready");
