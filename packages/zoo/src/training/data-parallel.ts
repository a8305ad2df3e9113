// Data-parallel training on worker threads, each with a backend of its own: every thread finds the gradients of its share
// of a step's batch, and their mean is what one thread would have found on the whole batch, up to rounding.
// Example: `const { gradients, stop } = await startWorkers({ module, options, workers: 2 }); await train({ …, gradients })`
import { Worker } from "node:worker_threads";
import * as tf from "@tensorflow/tfjs-core";
import type { Backend } from "./backend.js";
import type { Gradients, Loss } from "./loop.js";

/** The part of each batch that one worker sees: of `count` equal parts, the one at `index`. */
export interface Share {
  index: number;
  count: number;
}

/**
 * What a worker's module exports as `replica`: the variables that are trained, in the trainer's order and shapes, and
 * the loss, a mean over this share of the batch. Their values come from the trainer at every step.
 */
export type Replica<Options> = (
  options: Options,
  share: Share,
) => Promise<{ variables: tf.Variable[]; loss: Loss }>;

export interface Workers {
  gradients: Gradients;
  stop(): Promise<void>;
}

/** What a worker is started with. */
export interface WorkerStart {
  replica: string;
  options: unknown;
  share: Share;
  backend: Backend;
}

/** One step's order: all variables' values, and room for this worker's gradients, in shared memory. */
export interface StepOrder {
  step: number;
  progress: number;
  values: Float32Array;
  gradients: Float32Array;
}

/** One step's result; gradients lie in shared memory, false where the loss doesn't depend on the variable. */
export interface StepResult {
  loss: number;
  logged: Record<string, number>;
  found: boolean[];
}

/**
 * Starts the workers and waits until their replicas are ready.
 *
 * @param module URL of a TypeScript module that exports a `replica` (see `Replica`)
 * @param options handed to every replica: plain data
 * @param workers how many, 1 or more; batches must be divisible by it
 * @throws {Error} the first error of any worker, here or at a step
 */
export async function startWorkers<Options>({
  module,
  options,
  workers: count,
  backend = "wasm",
}: {
  module: URL;
  options: Options;
  workers: number;
  backend?: Backend;
}): Promise<Workers> {
  const threads = Array.from({ length: count }, (_, index) =>
    startThread({ replica: module.href, options, share: { index, count }, backend }),
  );
  const stop = async () => void (await Promise.all(threads.map((thread) => thread.terminate())));
  try {
    await Promise.all(threads.map((thread) => nextMessage<"ready">(thread)));
  } catch (error) {
    await stop();
    throw error;
  }
  return { gradients: gradientsBy(threads), stop };
}

function startThread(start: WorkerStart): Worker {
  return new Worker(new URL("../runner/typescript-worker.mjs", import.meta.url), {
    workerData: { module: new URL("./data-parallel-worker.ts", import.meta.url).href, start },
  });
}

/** Gradients that are the means of what all threads find. */
function gradientsBy(threads: readonly Worker[]): Gradients {
  let values = sharedFloats(0);
  let found: Float32Array[] = [];
  return async (variables, step, progress) => {
    const size = variables.reduce((sum, variable) => sum + variable.size, 0);
    if (values.length !== size) {
      values = sharedFloats(size);
      found = threads.map(() => sharedFloats(size));
    }
    copyValues(variables, values);
    const results = await Promise.all(
      threads.map((thread, i) => order(thread, { step, progress, values, gradients: found[i] })),
    );
    const total = found[0];
    for (const other of found.slice(1)) for (let i = 0; i < size; i++) total[i] += other[i];
    for (let i = 0; i < size; i++) total[i] /= threads.length;
    return {
      loss: mean(results.map(({ loss }) => loss)),
      logged: meanLogs(results),
      gradients: asTensors(total, variables, results[0].found),
    };
  };
}

/** Has a thread find the gradients of its share of a step. */
function order(thread: Worker, step: StepOrder): Promise<StepResult> {
  const result = nextMessage<StepResult>(thread);
  thread.postMessage(step);
  return result;
}

/** Lays the variables' values one after another. */
function copyValues(variables: readonly tf.Variable[], values: Float32Array): void {
  let at = 0;
  for (const variable of variables) {
    values.set(variable.dataSync<"float32">(), at);
    at += variable.size;
  }
}

/** Gradients that lie one after another, each of its variable's shape; none of those that were not found. */
function asTensors(gradients: Float32Array, variables: readonly tf.Variable[], found: readonly boolean[]) {
  let at = 0;
  return variables.map(({ size, shape }, i) => {
    const from = at;
    at += size;
    return found[i] ? tf.tensor(gradients.slice(from, at), shape) : undefined;
  });
}

function meanLogs(results: readonly StepResult[]): Record<string, number> {
  return Object.fromEntries(
    Object.keys(results[0].logged).map((name) => [name, mean(results.map(({ logged }) => logged[name]))]),
  );
}

const sharedFloats = (size: number) => new Float32Array(new SharedArrayBuffer(4 * size));

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function nextMessage<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: T) => {
      worker.off("error", onError);
      resolve(message);
    };
    const onError = (error: Error) => {
      worker.off("message", onMessage);
      reject(error);
    };
    worker.once("message", onMessage);
    worker.once("error", onError);
  });
}
