/**
 * Sum and mean over axes that lie side by side, without the transpose that the shipped kernels make for all but the last
 * ones: bias gradients sum over the first. E.g. [1, 1024, 512] over the axes 0 and 1 is 1024 rows of 512.
 */
import type { TensorInfo } from "@tensorflow/tfjs-core";
import { backend_util, util } from "@tensorflow/tfjs-core";
import type { Heap } from "./heap.js";
import type { KernelCall, TrainingKernel } from "./kernel.js";

export const sum: TrainingKernel = {
  name: "Sum",
  onHeap: (heap, call) => reduce(heap, call, () => 1) ?? call.shipped(),
  composed: (call) => call.shipped(),
};

export const mean: TrainingKernel = {
  name: "Mean",
  onHeap: (heap, call) => reduce(heap, call, (length) => length) ?? call.shipped(),
  composed: (call) => call.shipped(),
};

/** Undefined where the axes lie apart, x is empty or not float32. */
function reduce(heap: Heap, call: KernelCall, divisor: (length: number) => number): TensorInfo | undefined {
  const { x } = call.inputs;
  const { axis, keepDims } = call.attrs as { axis: number | number[]; keepDims: boolean };
  const axes = util.parseAxisParam(axis, x.shape).sort((a, b) => a - b);
  const sideBySide = axes.every((value, index) => value === axes[0] + index);
  const size = util.sizeFromShape(x.shape);
  if (x.dtype !== "float32" || axes.length === 0 || !sideBySide || size === 0) return undefined;
  const before = x.shape.slice(0, axes[0]);
  const after = x.shape.slice(axes[0] + axes.length);
  const outer = util.sizeFromShape(before);
  const inner = util.sizeFromShape(after);
  const length = size / outer / inner;
  const shape = [...before, ...after];
  const out = heap.allocate(keepDims ? backend_util.expandShapeToKeepDim(shape, axes) : shape);
  const { kernels, address } = heap;
  heap.scratch(kernels.sumScratch(inner), (scratch) =>
    kernels.sumAxis(address(x), outer, length, inner, divisor(length), address(out), scratch),
  );
  return out;
}
