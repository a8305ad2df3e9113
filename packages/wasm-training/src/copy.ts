/**
 * Copies that the wasm backend makes without need, or slowly. Identity (every tensor that a gradient saves is cloned by
 * it), a cast to the same type and a transpose that moves nothing hand the same data on; slices along one axis,
 * gathers of rows and tiles run on the heap. E.g. a training step of ResNet-20 clones 91 feature maps.
 */
import type { TensorInfo } from "@tensorflow/tfjs-core";
import { slice_util, util } from "@tensorflow/tfjs-core";
import type { KernelCall, TrainingKernel } from "./kernel.js";

/** The same data under another shape; it lives until the last tensor on it is disposed. */
function share({ backend }: KernelCall, x: TensorInfo, shape: number[]): TensorInfo {
  backend.incRef(x.dataId);
  return { dataId: x.dataId, shape, dtype: x.dtype };
}

/** Kernels that need no module of ours. */
function anywhere(name: string, run: (call: KernelCall) => TensorInfo | TensorInfo[]): TrainingKernel {
  return { name, onHeap: (_, call) => run(call), composed: run };
}

export const identity = anywhere("Identity", (call) => {
  const { x } = call.inputs;
  return x.dtype === "string" ? call.shipped() : share(call, x, x.shape);
});

export const cast = anywhere("Cast", (call) => {
  const { x } = call.inputs;
  return x.dtype === call.attrs.dtype && x.dtype !== "string" ? share(call, x, x.shape) : call.shipped();
});

export const transpose = anywhere("Transpose", (call) => {
  const { x } = call.inputs;
  const perm = call.attrs.perm as number[];
  // Axes of length 1 may go anywhere.
  const moved = perm.filter((axis) => x.shape[axis] !== 1);
  const isInPlace = moved.every((axis, index) => index === 0 || moved[index - 1] < axis);
  if (!isInPlace || x.dtype === "string") return call.shipped();
  return share(
    call,
    x,
    perm.map((axis) => x.shape[axis]),
  );
});

export const slice: TrainingKernel = {
  name: "Slice",
  onHeap(heap, call) {
    const { x } = call.inputs;
    if (x.dtype !== "float32") return call.shipped();
    const parameters = call.attrs as unknown as { begin: number[]; size: number[] };
    const [begin, size] = slice_util.parseSliceParams(
      x as Parameters<typeof slice_util.parseSliceParams>[0],
      parameters.begin,
      parameters.size,
    );
    const cut = x.shape.map((length, axis) => length !== size[axis]);
    const axis = cut.indexOf(true);
    if (axis === -1) return share(call, x, x.shape);
    if (cut.lastIndexOf(true) !== axis) return call.shipped();
    const inner = util.sizeFromShape(x.shape.slice(axis + 1));
    const outer = util.sizeFromShape(x.shape.slice(0, axis));
    const out = heap.allocate(size);
    const from = heap.address(x) + begin[axis] * inner * 4;
    heap.kernels.copyRuns(from, heap.address(out), outer, size[axis] * inner, x.shape[axis] * inner);
    return out;
  },
  composed: (call) => call.shipped(),
};

export const gather: TrainingKernel = {
  name: "GatherV2",
  onHeap(heap, call) {
    const { x, indices } = call.inputs;
    const { axis, batchDims } = call.attrs as { axis: number; batchDims: number };
    if (x.dtype !== "float32" || indices.dtype !== "int32" || batchDims !== 0) return call.shipped();
    const along = util.parseAxisParam(axis, x.shape)[0];
    const rows = x.shape[along];
    // The shipped kernel words the error.
    if (heap.integers(indices).some((index) => index < 0 || index >= rows)) return call.shipped();
    const before = x.shape.slice(0, along);
    const after = x.shape.slice(along + 1);
    const out = heap.allocate([...before, ...indices.shape, ...after]);
    heap.kernels.gatherRows(
      heap.address(x),
      heap.address(indices),
      util.sizeFromShape(before),
      rows,
      util.sizeFromShape(indices.shape),
      util.sizeFromShape(after),
      heap.address(out),
    );
    return out;
  },
  composed: (call) => call.shipped(),
};

export const tile: TrainingKernel = {
  name: "Tile",
  onHeap(heap, call) {
    const { x } = call.inputs;
    const reps = call.attrs.reps as number[];
    const size = util.sizeFromShape(x.shape) * util.sizeFromShape(reps);
    if (x.dtype !== "float32" || size === 0) return call.shipped();
    // One axis after the other, the last one first, so that what is repeated lies in one block.
    let current = share(call, x, x.shape);
    for (let axis = x.shape.length - 1; axis >= 0; axis--) {
      if (reps[axis] === 1) continue;
      const { shape } = current;
      const next = heap.allocate(
        shape.map((length, other) => (other === axis ? length * reps[axis] : length)),
      );
      const outer = util.sizeFromShape(shape.slice(0, axis));
      const block = util.sizeFromShape(shape.slice(axis));
      heap.kernels.repeatBlocks(heap.address(current), heap.address(next), outer, block, reps[axis]);
      call.backend.disposeData(current.dataId);
      current = next;
    }
    return current;
  },
  composed: (call) => call.shipped(),
};
