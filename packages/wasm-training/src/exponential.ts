/** exp and erf, four elements at a time; float32 rounding errors, as the shipped kernels. E.g. erf(1) = 0.842701. */
import { util } from "@tensorflow/tfjs-core";
import type { TrainingKernel } from "./kernel.js";

function elementwise(name: string, kernel: "exp" | "erf"): TrainingKernel {
  return {
    name,
    onHeap(heap, call) {
      const { x } = call.inputs;
      if (x.dtype !== "float32") return call.shipped();
      const y = heap.allocate(x.shape);
      heap.kernels[kernel](heap.address(x), heap.address(y), util.sizeFromShape(x.shape));
      return y;
    },
    composed: (call) => call.shipped(),
  };
}

export const exp = elementwise("Exp", "exp");
export const erf = elementwise("Erf", "erf");
