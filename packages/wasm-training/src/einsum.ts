/**
 * Einstein summation of one or two tensors, as one batched matrix product: e.g. "bqhd,bkhd->bhqk" has the batch axes
 * b and h, the rows q, the columns k and the contracted axis d, so it is transpose, matMul, transpose.
 */
import type { Tensor } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import type { TrainingKernel } from "./kernel.js";

/** tf.einsum, made of other kernels on the heap as elsewhere. */
export const einsumKernel: TrainingKernel = {
  name: "Einsum",
  onHeap: (_, call) => einsumKernel.composed(call),
  composed: ({ inputs, attrs }) => einsum(attrs.equation as string, Object.values(inputs) as Tensor[]),
};

/**
 * @param equation as tf.einsum takes it: "ij,jk->ik"; each letter at most once in a term
 * @param tensors one or two
 * @throws {Error} for more tensors, or an equation that does not fit the shapes
 */
export function einsum(equation: string, tensors: Tensor[]): Tensor {
  // tfjs-core's parser rejects what no backend supports (ellipsis, repeated letters, three tensors).
  const { allDims, summedDims, idDims } = tf.backend_util.decodeEinsumEquation(equation, tensors.length);
  tf.backend_util.checkEinsumDimSizes(allDims.length, idDims, tensors);
  const outputRank = allDims.length - summedDims.length;
  const isOutput = (dim: number) => dim < outputRank;
  return tf.tidy(() => {
    // An axis that only one operand has and the output has not is summed at once.
    const reduced = tensors.map((tensor, index) => {
      const own = idDims[index];
      const other = idDims[1 - index] ?? [];
      const gone = own.filter((dim) => !isOutput(dim) && !other.includes(dim));
      const axes = gone.map((dim) => own.indexOf(dim));
      return {
        tensor: axes.length > 0 ? tf.sum(tensor, axes) : tensor,
        dims: own.filter((dim) => !gone.includes(dim)),
      };
    });
    const [a, b] = reduced;
    if (b === undefined) return arrange(a.tensor, a.dims, range(outputRank));
    const size = (dim: number) =>
      a.dims.includes(dim) ? a.tensor.shape[a.dims.indexOf(dim)] : b.tensor.shape[b.dims.indexOf(dim)];
    const product = (dims: number[]) => dims.reduce((total, dim) => total * size(dim), 1);
    const shared = a.dims.filter((dim) => b.dims.includes(dim));
    const batch = shared.filter(isOutput);
    const inner = shared.filter((dim) => !isOutput(dim));
    const rows = a.dims.filter((dim) => !shared.includes(dim));
    const columns = b.dims.filter((dim) => !shared.includes(dim));
    const left = tf.reshape(arrange(a.tensor, a.dims, [...batch, ...rows, ...inner]), [
      product(batch),
      product(rows),
      product(inner),
    ]);
    const right = tf.reshape(arrange(b.tensor, b.dims, [...batch, ...columns, ...inner]), [
      product(batch),
      product(columns),
      product(inner),
    ]);
    const dims = [...batch, ...rows, ...columns];
    return arrange(tf.reshape(tf.matMul(left, right, false, true), dims.map(size)), dims, range(outputRank));
  });
}

/** Transposes so that the axes, now named by `from`, come in the order `to`. */
function arrange(tensor: Tensor, from: number[], to: number[]): Tensor {
  const order = to.map((dim) => from.indexOf(dim));
  return order.every((axis, index) => axis === index) ? tf.clone(tensor) : tf.transpose(tensor, order);
}

function range(length: number): number[] {
  return Array.from({ length }, (_, index) => index);
}
