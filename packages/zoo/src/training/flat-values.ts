// Values of many tensors one after another, as they travel between threads and machines.
import * as tf from "@tensorflow/tfjs-core";

/** Zeros that threads share. */
export const sharedFloats = (size: number) => new Float32Array(new SharedArrayBuffer(4 * size));

export const sizeOf = (tensors: readonly { size: number }[]) =>
  tensors.reduce((sum, { size }) => sum + size, 0);

/** Lays tensors' values one after another; room is left where there is none. */
export function copyValues(
  tensors: readonly (tf.Tensor | undefined)[],
  sizes: readonly { size: number }[],
  to: Float32Array,
): void {
  let at = 0;
  for (const [i, tensor] of tensors.entries()) {
    if (tensor) to.set(tensor.dataSync<"float32">(), at);
    at += sizes[i].size;
  }
}

/** Puts values that lie one after another into variables. */
export function assignValues(variables: readonly tf.Variable[], values: Float32Array): void {
  let at = 0;
  for (const variable of variables) {
    const value = values.slice(at, (at += variable.size));
    tf.tidy(() => variable.assign(tf.tensor(value, variable.shape)));
  }
}

/** Values that lie one after another as tensors, each of its variable's shape; none of those that were not found. */
export function asTensors(
  values: Float32Array,
  variables: readonly tf.Variable[],
  found: readonly boolean[],
): (tf.Tensor | undefined)[] {
  let at = 0;
  return variables.map(({ size, shape }, i) => {
    const from = at;
    at += size;
    return found[i] ? tf.tensor(values.slice(from, at), shape) : undefined;
  });
}

export function divide(values: Float32Array, by: number): void {
  for (let i = 0; i < values.length; i++) values[i] /= by;
}

/** 32 bits that hardly ever agree where two arrays differ: FNV-1a over words of four bytes. */
export function checksum({ buffer, byteOffset, length }: Float32Array): number {
  const words = new Uint32Array(buffer, byteOffset, length);
  let state = 0x811c9dc5;
  // By index: iterating over shared memory takes half as long again.
  for (let i = 0; i < words.length; i++) state = Math.imul(state ^ words[i], 0x01000193);
  return state >>> 0;
}
