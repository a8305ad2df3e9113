/**
 * Matrix product of the last two axes, each operand possibly stored transposed, the leading axes broadcast; and the
 * same with a bias added. E.g. [8, 3, 4] · [5, 4]ᵀ is [8, 3, 5].
 */
import type { _FusedMatMulAttrs, BatchMatMulAttrs, TensorInfo } from "@tensorflow/tfjs-core";
import { broadcast_util, util } from "@tensorflow/tfjs-core";
import type { Heap } from "./heap.js";
import type { TrainingKernel } from "./kernel.js";

export const batchMatMul: TrainingKernel = {
  name: "BatchMatMul",
  onHeap(heap, call) {
    const { a, b } = call.inputs;
    return multiply(heap, a, b, call.attrs as unknown as BatchMatMulAttrs) ?? call.shipped();
  },
  composed: (call) => call.shipped(),
};

export const fusedMatMul: TrainingKernel = {
  name: "_FusedMatMul",
  onHeap(heap, call) {
    const { a, b, bias } = call.inputs;
    const attributes = call.attrs as unknown as _FusedMatMulAttrs;
    const isRow = !bias || (bias.dtype === "float32" && bias.shape.length === 1);
    if (attributes.activation !== "linear" || !isRow) return call.shipped();
    return multiply(heap, a, b, attributes, bias) ?? call.shipped();
  },
  composed: (call) => call.shipped(),
};

/** Undefined where there is nothing to multiply or the type is not float32. */
function multiply(
  heap: Heap,
  a: TensorInfo,
  b: TensorInfo,
  { transposeA, transposeB }: BatchMatMulAttrs,
  bias?: TensorInfo,
): TensorInfo | undefined {
  if (a.dtype !== "float32" || b.dtype !== "float32") return undefined;
  const [rowsA, columnsA] = a.shape.slice(-2);
  const [rowsB, columnsB] = b.shape.slice(-2);
  const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
  const [inner, n] = transposeB ? [columnsB, rowsB] : [rowsB, columnsB];
  util.assert(
    k === inner,
    () => `matMul: the inner sizes ${k} and ${inner} of [${a.shape}] and [${b.shape}] must be equal`,
  );
  const batchA = a.shape.slice(0, -2);
  const batchB = b.shape.slice(0, -2);
  const batch = broadcast_util.assertAndGetBroadcastShape(batchA, batchB);
  const count = util.sizeFromShape(batch);
  if (count * m * n * k === 0) return undefined;
  if (bias && bias.shape[0] !== n) return undefined;
  const offsetsA = batchOffsets(batchA, batch);
  const offsetsB = batchOffsets(batchB, batch);
  const { kernels, address } = heap;
  const out = heap.allocate([...batch, m, n]);
  if (bias) kernels.repeatBlocks(address(bias), address(out), 1, n, count * m);
  heap.scratch(kernels.matMulScratch(), (scratch) => {
    const [fromA, fromB, to] = [address(a), address(b), address(out)];
    for (let i = 0; i < count; i++) {
      kernels.matMul(
        fromA + offsetsA[i] * m * k * 4,
        fromB + offsetsB[i] * k * n * 4,
        to + i * m * n * 4,
        m,
        n,
        k,
        transposeA ? 1 : 0,
        transposeB ? 1 : 0,
        bias ? 1 : 0,
        scratch,
      );
    }
  });
  return out;
}

/** For every matrix of the broadcast batch, the number of the operand's matrix that it takes. */
function batchOffsets(own: number[], batch: number[]): Int32Array {
  const offsets = new Int32Array(util.sizeFromShape(batch));
  if (util.sizeFromShape(own) === offsets.length) return offsets.map((_, index) => index);
  const padded = [...new Array<number>(batch.length - own.length).fill(1), ...own];
  for (let index = 0; index < offsets.length; index++) {
    // Positions of the batch, last axis first; an axis of length 1 repeats.
    let rest = index;
    let stride = 1;
    for (let axis = batch.length - 1; axis >= 0; axis--) {
      const position = rest % batch[axis];
      rest = (rest - position) / batch[axis];
      if (padded[axis] !== 1) offsets[index] += position * stride;
      stride *= padded[axis];
    }
  }
  return offsets;
}
