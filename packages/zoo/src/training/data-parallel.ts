// Data-parallel training on worker threads, each with a backend of its own. A step's batch is cut into shares, as many whatever
// the number of threads; the mean of their gradients, added in the shares' order, is what one thread would have found on the whole
// batch, up to rounding, and to the bit what any other number of threads finds.
// Example: `const { gradients, stop } = await startWorkers({ module, options, workers: 2 }); await train({ …, gradients })`
import { Worker } from "node:worker_threads";
import * as tf from "@tensorflow/tfjs-core";
import type { Backend } from "./backend.js";
import type { Gradients, Loss } from "./loop.js";

/** Shares of a batch, and the most threads that are of use. */
export const SHARES = 4;

/** The part of each batch that one replica sees: of `count` equal parts, the one at `index`. */
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
  shares: Share[];
  backend: Backend;
}

/** One step's order: all variables' values, and room for the gradients of each of the worker's shares, in shared memory. */
export interface StepOrder {
  step: number;
  progress: number;
  values: Float32Array;
  gradients: Float32Array[];
}

/** One step's result for a share; gradients lie in shared memory, false where the loss doesn't depend on the variable. */
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
 * @param workers how many, 1 or more: beyond the shares of a batch none is started
 * @throws {Error} the first error of any worker, here or at a step
 */
export async function startWorkers<Options>({
  module,
  options,
  workers,
  backend = "wasm",
}: {
  module: URL;
  options: Options;
  workers: number;
  backend?: Backend;
}): Promise<Workers> {
  const shares = Array.from({ length: SHARES }, (_, index) => ({ index, count: SHARES }));
  const count = Math.min(workers, SHARES);
  const threads = Array.from({ length: count }, (_, thread) => {
    const own = shares.filter(({ index }) => index % count === thread);
    return startThread({ replica: module.href, options, shares: own, backend });
  });
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
      found = Array.from({ length: SHARES }, () => sharedFloats(size));
    }
    copyValues(variables, values);
    const results: StepResult[] = new Array(SHARES);
    const ofThread = (thread: number) => (_: unknown, share: number) => share % threads.length === thread;
    await Promise.all(
      threads.map(async (thread, i) => {
        const own = await order(thread, { step, progress, values, gradients: found.filter(ofThread(i)) });
        own.forEach((result, k) => void (results[i + k * threads.length] = result));
      }),
    );
    const total = found[0];
    for (const other of found.slice(1)) for (let i = 0; i < size; i++) total[i] += other[i];
    for (let i = 0; i < size; i++) total[i] /= SHARES;
    return {
      loss: mean(results.map(({ loss }) => loss)),
      logged: meanLogs(results),
      gradients: asTensors(total, variables, results[0].found),
    };
  };
}

/** Has a thread find the gradients of its shares of a step. */
function order(thread: Worker, step: StepOrder): Promise<StepResult[]> {
  const result = nextMessage<StepResult[]>(thread);
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
