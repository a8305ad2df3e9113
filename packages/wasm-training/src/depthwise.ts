/** Gradients of a depthwise convolution, with any stride, dilation, padding and multiplier. */
import type { DepthwiseConv2dNativeAttrs } from "@tensorflow/tfjs-core";
import { backend_util } from "@tensorflow/tfjs-core";
import { composedDepthwiseBackpropFilter, composedDepthwiseBackpropInput } from "./composed.js";
import type { KernelCall, TrainingKernel } from "./kernel.js";
import { asTensor } from "./kernel.js";

type Conv2DInfo = ReturnType<typeof backend_util.computeConv2DInfo>;
type Shape4D = [number, number, number, number];

function infoOf({ attrs }: KernelCall, inputShape: number[], filterShape: number[]): Conv2DInfo {
  const { strides, dilations, pad, dimRoundingMode } = attrs as unknown as DepthwiseConv2dNativeAttrs;
  return backend_util.computeConv2DInfo(
    inputShape as Shape4D,
    filterShape as Shape4D,
    strides,
    dilations,
    pad,
    dimRoundingMode,
    true,
  );
}

function geometry(info: Conv2DInfo): number[] {
  return [
    info.batchSize,
    info.inHeight,
    info.inWidth,
    info.inChannels,
    info.outChannels / info.inChannels,
    info.outHeight,
    info.outWidth,
    info.filterHeight,
    info.filterWidth,
    info.strideHeight,
    info.strideWidth,
    info.dilationHeight,
    info.dilationWidth,
    info.padInfo.top,
    info.padInfo.left,
  ];
}

export const depthwiseBackpropFilter: TrainingKernel = {
  name: "DepthwiseConv2dNativeBackpropFilter",
  onHeap(heap, call) {
    const { x, dy } = call.inputs;
    const info = infoOf(call, x.shape, call.attrs.filterShape as number[]);
    const gradient = heap.allocate(call.attrs.filterShape as number[]);
    const { kernels, address } = heap;
    heap.scratch(4 * info.filterHeight * info.filterWidth * info.outChannels, (scratch) =>
      kernels.depthwiseFilterGradient(address(x), address(dy), address(gradient), ...geometry(info), scratch),
    );
    return gradient;
  },
  composed(call) {
    const { x, dy } = call.inputs;
    const info = infoOf(call, x.shape, call.attrs.filterShape as number[]);
    return composedDepthwiseBackpropFilter(asTensor(x), asTensor(dy), info);
  },
};

export const depthwiseBackpropInput: TrainingKernel = {
  name: "DepthwiseConv2dNativeBackpropInput",
  onHeap(heap, call) {
    const { dy, filter } = call.inputs;
    const info = infoOf(call, call.attrs.inputShape as number[], filter.shape);
    const dx = heap.allocate(info.inShape);
    heap.kernels.depthwiseInputGradient(
      heap.address(dy),
      heap.address(filter),
      heap.address(dx),
      ...geometry(info),
    );
    return dx;
  },
  composed(call) {
    const { dy, filter } = call.inputs;
    const info = infoOf(call, call.attrs.inputShape as number[], filter.shape);
    return composedDepthwiseBackpropInput(asTensor(dy), asTensor(filter), info);
  },
};
