/** Puts the kernels of this package in the place of the wasm backend's own, or where it has none. */
import type { Tensor, TensorInfo } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import {
  asTensor,
  composedConv2DBackpropFilter,
  composedDepthwiseBackpropFilter,
  composedDepthwiseBackpropInput,
  composedMaxPoolGrad,
  composedUnsortedSegmentSum,
} from "./composed.js";
import { einsum } from "./einsum.js";

type Kernel = (inputs: Record<string, TensorInfo>, attrs: any) => TensorInfo;

const kernels: Record<string, Kernel> = {
  Conv2DBackpropFilter: ({ x, dy }, { strides, pad, dimRoundingMode, filterShape }) =>
    composedConv2DBackpropFilter(
      asTensor<tf.Rank.R4>(x),
      asTensor<tf.Rank.R4>(dy),
      tf.backend_util.computeConv2DInfo(x.shape as any, filterShape, strides, 1, pad, dimRoundingMode),
    ),
  DepthwiseConv2dNativeBackpropFilter: ({ x, dy }, { strides, dilations, pad, dimRoundingMode, filterShape }) =>
    composedDepthwiseBackpropFilter(
      asTensor<tf.Rank.R4>(x),
      asTensor<tf.Rank.R4>(dy),
      tf.backend_util.computeConv2DInfo(x.shape as any, filterShape, strides, dilations, pad, dimRoundingMode, true),
    ),
  DepthwiseConv2dNativeBackpropInput: ({ dy, filter }, { strides, dilations, pad, dimRoundingMode, inputShape }) =>
    composedDepthwiseBackpropInput(
      asTensor<tf.Rank.R4>(dy),
      asTensor<tf.Rank.R4>(filter),
      tf.backend_util.computeConv2DInfo(inputShape, filter.shape as any, strides, dilations, pad, dimRoundingMode, true),
    ),
  UnsortedSegmentSum: ({ x, segmentIds }, { numSegments }) =>
    composedUnsortedSegmentSum(asTensor(x), asTensor<tf.Rank.R1>(segmentIds), numSegments),
  Einsum: (inputs, { equation }) => einsum(equation, Object.values(inputs) as Tensor[]),
  MaxPoolGrad: ({ dy, input, output }, { filterSize, strides, pad, dimRoundingMode }) =>
    composedMaxPoolGrad(
      asTensor<tf.Rank.R4>(dy),
      asTensor<tf.Rank.R4>(input),
      asTensor<tf.Rank.R4>(output),
      tf.backend_util.computePool2DInfo(input.shape as any, filterSize, strides, 1, pad, dimRoundingMode),
    ),
};

export function registerTrainingKernels(): void {
  for (const [kernelName, run] of Object.entries(kernels)) {
    if (tf.getKernel(kernelName, "wasm")) tf.unregisterKernel(kernelName, "wasm");
    tf.registerKernel({
      kernelName,
      backendName: "wasm",
      kernelFunc: ({ inputs, attrs }) => run(inputs as any, attrs as any),
    });
  }
}
