// Model parameters between checkpoints and tfjs. PyTorch keeps filters as [out, in, height, width] and matrices as
// [out, in]; tfjs wants [height, width, in, out] and [in, out]. They are turned once, at load, and back at save.
// Example: a checkpoint's conv1.weight [16, 3, 3, 3] = OIHW becomes a tensor [3, 3, 3, 16] = HWIO.

import type { Parameters } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import type { CheckpointTensor, FloatTensor } from "./checkpoint-file.js";

/**
 * Tensors of a PyTorch checkpoint, in the layout of tfjs. Integer tensors (batch norm's num_batches_tracked) are
 * left out: no model here reads them.
 */
export function parametersFromPyTorch(
  entries: Record<string, Pick<CheckpointTensor, "shape" | "values">>,
): Parameters {
  const parameters: Parameters = {};
  for (const [name, { shape, values }] of Object.entries(entries)) {
    if (values === undefined) continue;
    parameters[name] = tf.tidy(() => {
      const tensor = tf.tensor(values, [...shape], "float32");
      const permutation = toTfjs(name, shape.length);
      return permutation === undefined ? tensor : tf.transpose(tensor, permutation);
    });
  }
  return parameters;
}

/** Float32 entries in PyTorch's layout, ready to be written as safetensors. */
export function pyTorchFromParameters(parameters: Parameters): Record<string, FloatTensor> {
  const entries: Record<string, FloatTensor> = {};
  for (const [name, tensor] of Object.entries(parameters)) {
    const permutation = toTfjs(name, tensor.rank);
    const turned = permutation === undefined ? tf.clone(tensor) : tf.transpose(tensor, inverse(permutation));
    // Read outside of a tidy: one that returned the values would look for tensors in each of them.
    entries[name] = { shape: turned.shape, values: turned.dataSync<"float32">() };
    turned.dispose();
  }
  return entries;
}

/**
 * Trainable copies of the parameters; the originals are left to the caller.
 *
 * @param trainable which of them an optimizer may change; running statistics may never.
 */
export function variables(
  parameters: Parameters,
  trainable: (name: string) => boolean = () => true,
): Record<string, tf.Variable> {
  const entries = Object.entries(parameters).map(([name, tensor]) => {
    const isTrainable = trainable(name) && !/\.running_(mean|var)$/.test(name);
    return [name, tf.variable(tensor, isTrainable)] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * The parameter called `name`.
 *
 * @throws {RangeError} if there is none.
 */
export function parameter<T extends tf.Tensor>(parameters: Parameters, name: string): T {
  const tensor = parameters[name];
  if (tensor === undefined) {
    throw new RangeError(
      `The parameters have no "${name}"; they have ${Object.keys(parameters).length} others.`,
    );
  }
  return tensor as T;
}

// Embedding tables are looked up by row, not multiplied: they stay [entries, size].
function toTfjs(name: string, rank: number): number[] | undefined {
  if (rank === 4) return [2, 3, 1, 0];
  return rank === 2 && !name.includes("embeddings.") ? [1, 0] : undefined;
}

function inverse(permutation: number[]): number[] {
  return permutation.map((_, axis) => permutation.indexOf(axis));
}
