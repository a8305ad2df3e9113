/** Sum of the rows that share a segment: the gradient of a gather, so of an embedding. */
import { util } from "@tensorflow/tfjs-core";
import { composedUnsortedSegmentSum } from "./composed.js";
import type { TrainingKernel } from "./kernel.js";
import { asTensor } from "./kernel.js";

export const unsortedSegmentSum: TrainingKernel = {
  name: "UnsortedSegmentSum",
  onHeap(heap, call) {
    const { x, segmentIds } = call.inputs;
    const numSegments = call.attrs.numSegments as number;
    const rows = util.sizeFromShape(segmentIds.shape);
    if (x.dtype !== "float32" || segmentIds.dtype !== "int32") return this.composed(call);
    const tail = x.shape.slice(segmentIds.shape.length);
    const out = heap.allocate([numSegments, ...tail]);
    const { kernels, address } = heap;
    kernels.segmentSum(
      address(x),
      address(segmentIds),
      rows,
      util.sizeFromShape(tail),
      numSegments,
      address(out),
    );
    return out;
  },
  composed({ inputs: { x, segmentIds }, attrs }) {
    return composedUnsortedSegmentSum(asTensor(x), asTensor(segmentIds), attrs.numSegments as number);
  },
};
