/**
 * Sum over axes that lie side by side, without the transpose that the shipped kernel makes for all but the last ones:
 * bias gradients sum over the first. E.g. [1, 1024, 512] over the axes 0 and 1 is 1024 rows of 512.
 */
import { backend_util, util } from "@tensorflow/tfjs-core";
import type { TrainingKernel } from "./kernel.js";

export const sum: TrainingKernel = {
  name: "Sum",
  onHeap(heap, call) {
    const { x } = call.inputs;
    const { axis, keepDims } = call.attrs as { axis: number | number[]; keepDims: boolean };
    const axes = util.parseAxisParam(axis, x.shape).sort((a, b) => a - b);
    const sideBySide = axes.every((value, index) => value === axes[0] + index);
    if (x.dtype !== "float32" || axes.length === 0 || !sideBySide || util.sizeFromShape(x.shape) === 0) {
      return call.shipped();
    }
    const before = x.shape.slice(0, axes[0]);
    const after = x.shape.slice(axes[0] + axes.length);
    const inner = util.sizeFromShape(after);
    const shape = [...before, ...after];
    const out = heap.allocate(keepDims ? backend_util.expandShapeToKeepDim(shape, axes) : shape);
    const { kernels, address } = heap;
    heap.scratch(kernels.sumScratch(inner), (scratch) =>
      kernels.sumAxis(
        address(x),
        util.sizeFromShape(before),
        util.sizeFromShape(x.shape) / inner / util.sizeFromShape(before),
        inner,
        address(out),
        scratch,
      ),
    );
    return out;
  },
  composed: (call) => call.shipped(),
};
