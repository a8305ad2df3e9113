// A training run under way as a safetensors file: variables "variable.0", "variable.1", …, the optimizers' "state.0", …,
// and the number of steps done. Read back, the run goes on with the next step as if nothing had happened. A version and a
// checksum of all of it see to it that nobody goes on from numbers that are not what was written.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import type * as tf from "@tensorflow/tfjs-core";
import { tensor, tidy } from "@tensorflow/tfjs-core";
import { type FloatTensor, readCheckpoint, writeCheckpoint } from "../nets/checkpoint-file.js";

export interface TrainingState {
  variables: tf.Variable[];
  optimizers: tf.Variable[];
}

/** Replaces the file in one step, so that an interruption leaves the old state or the new one. */
export async function writeTrainingState(
  path: string,
  state: TrainingState,
  done: number,
  steps: number,
): Promise<void> {
  const entries = named(state).map(([name, variable]): [string, FloatTensor] => [
    name,
    { shape: variable.shape, values: variable.dataSync<"float32">() },
  ]);
  const counts = { version: VERSION, done: `${done}`, steps: `${steps}` };
  await writeCheckpoint(path, Object.fromEntries(entries), { ...counts, sha256: hashOf(entries, counts) });
}

/**
 * Puts the file's values into the variables.
 *
 * @returns steps done when it was written; 0 if there is no file
 * @throws {Error} if the file is damaged, of another version, or belongs to a run of other variables or of another length
 */
export async function readTrainingState(path: string, state: TrainingState, steps: number): Promise<number> {
  if (!existsSync(path)) return 0;
  const { tensors, metadata } = await readCheckpoint(path);
  if (metadata["version"] !== VERSION) {
    throw new Error(`${path}: expected version ${VERSION} of training states, got ${metadata["version"]}.`);
  }
  if (metadata["steps"] !== `${steps}`) {
    throw new Error(`${path}: expected a run of ${steps} steps, got one of ${metadata["steps"]}.`);
  }
  const pairs = named(state);
  if (Object.keys(tensors).length !== pairs.length) {
    throw new Error(`${path}: expected ${pairs.length} tensors, got ${Object.keys(tensors).length}.`);
  }
  for (const [name, variable] of pairs) {
    const shape = tensors[name]?.shape;
    if (`${shape}` !== `${variable.shape}`) {
      throw new Error(`${path}: expected ${name} of shape [${variable.shape}], got [${shape}].`);
    }
  }
  const counts = { version: VERSION, done: metadata["done"] ?? "", steps: metadata["steps"] };
  const entries = pairs.map(([name]): [string, FloatTensor] => {
    const { shape, values = new Float32Array() } = tensors[name];
    return [name, { shape, values }];
  });
  const done = Number(counts.done);
  if (
    hashOf(entries, counts) !== metadata["sha256"] ||
    !(Number.isInteger(done) && done >= 0 && done <= steps)
  ) {
    throw new Error(`${path}: damaged, its checksum is another; start the run anew without it.`);
  }
  for (const [i, [, { values, shape }]] of entries.entries()) {
    tidy(() => pairs[i][1].assign(tensor(values, [...shape], "float32")));
  }
  return done;
}

const VERSION = "1";

/** SHA-256 of everything that a run goes on from. */
function hashOf(entries: readonly [string, FloatTensor][], counts: Record<string, string>): string {
  const hash = createHash("sha256").update(JSON.stringify(counts));
  for (const [name, { shape, values }] of entries) {
    const { buffer, byteOffset, byteLength } = values;
    hash.update(JSON.stringify([name, shape])).update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest("hex");
}

function named({ variables, optimizers }: TrainingState): [string, tf.Variable][] {
  return [
    ...variables.map((variable, i): [string, tf.Variable] => [`variable.${i}`, variable]),
    ...optimizers.map((variable, i): [string, tf.Variable] => [`state.${i}`, variable]),
  ];
}
