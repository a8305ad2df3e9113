/**
 * Matrix product of the last two axes, each operand possibly stored transposed, the leading axes broadcast.
 * E.g. [8, 3, 4] · [5, 4]ᵀ is [8, 3, 5].
 */
import type { BatchMatMulAttrs } from "@tensorflow/tfjs-core";
import { broadcast_util, util } from "@tensorflow/tfjs-core";
import type { TrainingKernel } from "./kernel.js";

export const batchMatMul: TrainingKernel = {
  name: "BatchMatMul",
  onHeap(heap, call) {
    const { a, b } = call.inputs;
    const { transposeA, transposeB } = call.attrs as unknown as BatchMatMulAttrs;
    if (a.dtype !== "float32" || b.dtype !== "float32") return call.shipped();
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
    if (count * m * n * k === 0) return call.shipped();
    const offsetsA = batchOffsets(batchA, batch);
    const offsetsB = batchOffsets(batchB, batch);
    const { kernels, address } = heap;
    const out = heap.allocate([...batch, m, n]);
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
          0,
          scratch,
        );
      }
    });
    return out;
  },
  composed: (call) => call.shipped(),
};

/** For every matrix of the broadcast batch, the number of the operand's matrix that it takes. */
function batchOffsets(own: number[], batch: number[]): Int32Array {
  const offsets = new Int32Array(util.sizeFromShape(batch));
  if (util.sizeFromShape(own) === offsets.length) return offsets.map((_, index) => index);
  const strides = util.computeStrides(batch).concat(1);
  const padded = [...new Array<number>(batch.length - own.length).fill(1), ...own];
  for (let index = 0; index < offsets.length; index++) {
    let rest = index;
    let offset = 0;
    for (let axis = 0; axis < batch.length; axis++) {
      const position = Math.floor(rest / strides[axis]);
      rest -= position * strides[axis];
      offset = offset * padded[axis] + (padded[axis] === 1 ? 0 : position);
    }
    offsets[index] = offset;
  }
  return offsets;
}
