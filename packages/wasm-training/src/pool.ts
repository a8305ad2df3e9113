/** Gradient of max pooling; the shipped kernel drops the gradient of a window whose values are all negative. */
import type { MaxPoolGradAttrs } from "@tensorflow/tfjs-core";
import { backend_util } from "@tensorflow/tfjs-core";
import { composedMaxPoolGrad } from "./composed.js";
import type { KernelCall, TrainingKernel } from "./kernel.js";
import { asTensor } from "./kernel.js";

function infoOf({ inputs, attrs }: KernelCall) {
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as MaxPoolGradAttrs;
  const shape = inputs.input.shape as [number, number, number, number];
  return backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode);
}

export const maxPoolGrad: TrainingKernel = {
  name: "MaxPoolGrad",
  onHeap(heap, call) {
    const { dy, input } = call.inputs;
    const info = infoOf(call);
    const dx = heap.allocate(info.inShape);
    heap.kernels.maxPoolGradient(
      heap.address(dy),
      heap.address(input),
      heap.address(dx),
      info.batchSize,
      info.inHeight,
      info.inWidth,
      info.inChannels,
      info.outHeight,
      info.outWidth,
      info.filterHeight,
      info.filterWidth,
      info.strideHeight,
      info.strideWidth,
      info.padInfo.top,
      info.padInfo.left,
    );
    return dx;
  },
  composed(call) {
    const { dy, input, output } = call.inputs;
    return composedMaxPoolGrad(asTensor(dy), asTensor(input), asTensor(output), infoOf(call));
  },
};
