/**
 * 2-D convolution and its gradients. 3 × 3 filters with stride 1 go by Winograd's F(4×4, 3×3), which needs a quarter
 * of the products; everything else by blocks of patches and a matrix product. E.g. 64 images of 32 × 32 × 16 with 16
 * filters: 151 million products directly, 38 million by Winograd.
 */
import type { Conv2DAttrs, TensorInfo } from "@tensorflow/tfjs-core";
import { backend_util, util } from "@tensorflow/tfjs-core";
import { composedConv2DBackpropFilter } from "./composed.js";
import type { Heap } from "./heap.js";
import type { KernelCall, TrainingKernel } from "./kernel.js";
import { asTensor } from "./kernel.js";

type Conv2DInfo = ReturnType<typeof backend_util.computeConv2DInfo>;
type Shape4D = [number, number, number, number];

/** Attributes of the forward kernel and of both gradients, which have no dilations. */
type Attributes = Omit<Conv2DAttrs, "dilations"> & { dilations?: Conv2DAttrs["dilations"] };

function infoOf({ attrs }: KernelCall, inputShape: number[], filterShape: number[]): Conv2DInfo {
  const { strides, pad, dimRoundingMode, dataFormat, dilations } = attrs as unknown as Attributes;
  if (dataFormat === "NCHW") throw new Error("the wasm backend convolves NHWC, got dataFormat NCHW");
  return backend_util.computeConv2DInfo(
    inputShape as Shape4D,
    filterShape as Shape4D,
    strides,
    dilations ?? 1,
    pad,
    dimRoundingMode,
  );
}

/** Fewer channels than 8 make the transforms dearer than the products they save. */
function suitsWinograd(info: Conv2DInfo): boolean {
  return (
    info.filterHeight === 3 &&
    info.filterWidth === 3 &&
    info.strideHeight === 1 &&
    info.strideWidth === 1 &&
    info.dilationHeight === 1 &&
    info.dilationWidth === 1 &&
    info.inChannels % 4 === 0 &&
    info.outChannels % 4 === 0 &&
    info.inChannels >= 8 &&
    info.outChannels >= 8
  );
}

function isEmpty(info: Conv2DInfo): boolean {
  return util.sizeFromShape(info.inShape) === 0 || util.sizeFromShape(info.outShape) === 0;
}

/** The geometry in the order that assembly/convolution.ts takes it. */
function geometry(info: Conv2DInfo): number[] {
  return [
    info.batchSize,
    info.inHeight,
    info.inWidth,
    info.inChannels,
    info.outHeight,
    info.outWidth,
    info.outChannels,
    info.filterHeight,
    info.filterWidth,
    info.strideHeight,
    info.strideWidth,
    info.padInfo.top,
    info.padInfo.left,
  ];
}

function patchSize(info: Conv2DInfo): number {
  return info.filterHeight * info.filterWidth * info.inChannels;
}

/** Runs `use` with scratch for patches and, behind it, for the matrix product. */
function withPatches(heap: Heap, info: Conv2DInfo, use: (patches: number, product: number) => void): void {
  const patches = heap.kernels.convolutionScratch(patchSize(info));
  heap.scratch(patches + heap.kernels.matMulScratch(), (address) => use(address, address + patches));
}

/** The shipped kernel pads wrongly for "same" where a filter is smaller than its stride and the other axis is padded. */
function shippedPadsWrongly({
  padInfo,
  filterHeight,
  strideHeight,
  filterWidth,
  strideWidth,
}: Conv2DInfo): boolean {
  const { top, bottom, left, right, type } = padInfo;
  return (
    type === "SAME" &&
    (filterHeight < strideHeight || filterWidth < strideWidth) &&
    top + bottom + left + right > 0
  );
}

export const conv2D: TrainingKernel = {
  name: "Conv2D",
  onHeap(heap, call) {
    const { x, filter } = call.inputs;
    const info = infoOf(call, x.shape, filter.shape);
    const winograd = suitsWinograd(info);
    if (isEmpty(info) || !(winograd || shippedPadsWrongly(info))) return call.shipped();
    const y = heap.allocate(info.outShape);
    const { kernels, address } = heap;
    if (!winograd) {
      withPatches(heap, info, (patches, product) =>
        kernels.convolution(address(x), address(filter), address(y), ...geometry(info), patches, product),
      );
      return y;
    }
    heap.scratch(kernels.winogradScratch(info.inChannels, info.outChannels), (scratch) =>
      kernels.winogradConvolution(
        address(x),
        address(filter),
        address(y),
        info.batchSize,
        info.inHeight,
        info.inWidth,
        info.inChannels,
        info.outHeight,
        info.outWidth,
        info.outChannels,
        info.padInfo.top,
        info.padInfo.left,
        0,
        scratch,
      ),
    );
    return y;
  },
  composed: (call) => call.shipped(),
};

export const conv2DBackpropInput: TrainingKernel = {
  name: "Conv2DBackpropInput",
  onHeap(heap, call) {
    const { dy, filter } = call.inputs;
    const info = infoOf(call, call.attrs.inputShape as number[], filter.shape);
    if (isEmpty(info)) return call.shipped();
    const dx = heap.allocate(info.inShape);
    const { kernels, address } = heap;
    if (suitsWinograd(info)) {
      heap.scratch(kernels.winogradScratch(info.outChannels, info.inChannels), (scratch) =>
        kernels.winogradConvolution(
          address(dy),
          address(filter),
          address(dx),
          info.batchSize,
          info.outHeight,
          info.outWidth,
          info.outChannels,
          info.inHeight,
          info.inWidth,
          info.inChannels,
          2 - info.padInfo.top,
          2 - info.padInfo.left,
          1,
          scratch,
        ),
      );
    } else {
      withPatches(heap, info, (patches, product) =>
        kernels.convolutionInputGradient(
          address(dy),
          address(filter),
          address(dx),
          ...geometry(info),
          patches,
          product,
        ),
      );
    }
    return dx;
  },
  composed: (call) => call.shipped(),
};

export const conv2DBackpropFilter: TrainingKernel = {
  name: "Conv2DBackpropFilter",
  onHeap(heap, call) {
    const { x, dy } = call.inputs;
    const info = infoOf(call, x.shape, call.attrs.filterShape as number[]);
    if (isEmpty(info)) return this.composed(call);
    const gradient: TensorInfo = heap.allocate(info.filterShape);
    const { kernels, address } = heap;
    if (suitsWinograd(info)) {
      heap.scratch(kernels.winogradScratch(info.inChannels, info.outChannels), (scratch) =>
        kernels.winogradFilterGradient(
          address(x),
          address(dy),
          address(gradient),
          info.batchSize,
          info.inHeight,
          info.inWidth,
          info.inChannels,
          info.outHeight,
          info.outWidth,
          info.outChannels,
          info.padInfo.top,
          info.padInfo.left,
          scratch,
        ),
      );
    } else {
      withPatches(heap, info, (patches, product) =>
        kernels.convolutionFilterGradient(
          address(x),
          address(dy),
          address(gradient),
          ...geometry(info),
          patches,
          product,
        ),
      );
    }
    return gradient;
  },
  composed(call) {
    const { x, dy } = call.inputs;
    const info = infoOf(call, x.shape, call.attrs.filterShape as number[]);
    return composedConv2DBackpropFilter(asTensor(x), asTensor(dy), info);
  },
};
