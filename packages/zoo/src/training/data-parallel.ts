// Data-parallel training on worker threads, each with a backend of its own, of one process or of several on many machines. A
// step's batch is cut into shares, as many whatever the number of threads and processes; the mean of their gradients, added in
// the shares' order, is what one thread would have found on the whole batch, up to rounding, and to the bit what any other
// number of threads and processes finds.
// Example: `const { gradients, stop } = await startWorkers({ module, options, workers: 2 }); await train({ …, gradients })`
import { Worker } from "node:worker_threads";
import type * as tf from "@tensorflow/tfjs-core";
import { oneRank, type Ranks } from "../ring/ranks.js";
import { nextMessage } from "../runner/next-message.js";
import type { Backend } from "./backend.js";
import {
  assignValues,
  asTensors,
  checksum,
  copyValues,
  divide,
  sharedFloats,
  sizeOf,
} from "./flat-values.js";
import type { Gradients, Loss, Training } from "./loop.js";
import { gather } from "./share-results.js";

/** Shares of a batch, unless another number is asked for, and the most threads that are of use. */
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

export interface WorkersOptions<Options> {
  /** URL of a TypeScript module that exports a `replica` (see `Replica`). */
  module: URL;
  /** Handed to every replica: plain data. */
  options: Options;
  /** How many, 1 or more: beyond this process's shares of a batch none is started. */
  workers: number;
  /** Of a batch, over all processes. */
  shares?: number;
  backend?: Backend;
  /** The processes that train together, all of them the same; this one alone unless given. */
  ranks?: Ranks;
  /** Tells this process to end, and so all of them, after the same step. */
  told?: AbortSignal;
}

/**
 * Starts the workers and waits until their replicas are ready.
 *
 * @throws {Error} the first error of any worker, here or at a step; {RangeError} if there are more ranks than shares
 */
export async function startWorkers<Options>({
  module,
  options,
  workers,
  shares: count = SHARES,
  backend = "wasm",
  ranks = oneRank,
  told,
}: WorkersOptions<Options>): Promise<Workers> {
  if (ranks.count > count)
    throw new RangeError(`expected at most ${count} ranks, one a share, got ${ranks.count}`);
  const first = (rank: number) => Math.floor((rank * count) / ranks.count);
  const own = Array.from({ length: first(ranks.rank + 1) - first(ranks.rank) }, (_, i) => ({
    index: first(ranks.rank) + i,
    count,
  }));
  const used = Math.min(workers, own.length);
  const threads = Array.from({ length: used }, (_, thread) => {
    const shares = own.filter((_, i) => i % used === thread);
    return startThread({ replica: module.href, options, shares, backend });
  });
  const stop = async () => void (await Promise.all(threads.map((thread) => thread.terminate())));
  try {
    await ranks.orLost(Promise.all(threads.map((thread) => nextMessage<"ready">(thread))));
  } catch (error) {
    await stop();
    throw error;
  }
  return { gradients: gradientsBy(threads, own, ranks, told), stop };
}

/** What makes all ranks go on from rank 0's state. */
export function agreeWith(ranks: Ranks): Training["agree"] {
  return async (state, done) => {
    if (ranks.count === 1) return done;
    const size = sizeOf(state);
    const values = sharedFloats(size + 1);
    copyValues(state, state, values);
    values[size] = done;
    await ranks.share(values);
    assignValues(state, values.subarray(0, size));
    return values[size];
  };
}

function startThread(start: WorkerStart): Worker {
  return new Worker(new URL("../runner/typescript-worker.mjs", import.meta.url), {
    workerData: { module: new URL("./data-parallel-worker.ts", import.meta.url).href, start },
  });
}

/** Gradients that are the means of what all threads of all ranks find. @param own shares of this process */
function gradientsBy(
  threads: readonly Worker[],
  own: readonly Share[],
  ranks: Ranks,
  told?: AbortSignal,
): Gradients {
  let values = sharedFloats(0);
  let total = sharedFloats(0);
  let found: Float32Array[] = [];
  const { count } = own[0];
  return async (variables, step, progress) => {
    const size = sizeOf(variables);
    if (values.length !== size) {
      [values, total] = [sharedFloats(size), sharedFloats(size)];
      found = own.map(() => sharedFloats(size));
    }
    copyValues(variables, variables, values);
    const results: StepResult[] = new Array(own.length);
    const ofThread = (thread: number) => (_: unknown, i: number) => i % threads.length === thread;
    const finding = threads.map(async (thread, i) => {
      const answers = await order(thread, { step, progress, values, gradients: found.filter(ofThread(i)) });
      answers.forEach((result, k) => void (results[i + k * threads.length] = result));
    });
    const check = checksum(values); // while the threads compute
    await ranks.orLost(Promise.all(finding));
    await ranks.sum(found, total);
    divide(total, count);
    const gathered = await gather(ranks, {
      results,
      own,
      step,
      checksum: check,
      isTold: told?.aborted === true,
    });
    return { ...gathered, gradients: asTensors(total, variables, results[0].found) };
  };
}

/** Has a thread find the gradients of its shares of a step. */
function order(thread: Worker, step: StepOrder): Promise<StepResult[]> {
  const result = nextMessage<StepResult[]>(thread);
  thread.postMessage(step);
  return result;
}
