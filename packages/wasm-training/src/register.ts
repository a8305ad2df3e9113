/** Puts the kernels of this package in the place of the wasm backend's own, or where it has none. */
import type { KernelBackend, KernelConfig, TensorInfo } from "@tensorflow/tfjs-core";
import { getKernel, registerGradient, registerKernel, unregisterKernel } from "@tensorflow/tfjs-core";
import { batchNormBackward, batchNormForward, batchNormGradient } from "./batch-norm.js";
import { conv2D, conv2DBackpropFilter, conv2DBackpropInput } from "./convolution.js";
import { cast, gather, identity, slice, tile, transpose } from "./copy.js";
import { depthwiseBackpropFilter, depthwiseBackpropInput } from "./depthwise.js";
import { einsumKernel } from "./einsum.js";
import { erf, exp } from "./exponential.js";
import { geluBackward, geluForward, geluGradConfig } from "./gelu.js";
import { heapOf } from "./heap.js";
import type { TrainingKernel } from "./kernel.js";
import { layerNormBackward, layerNormForward, layerNormGradConfig } from "./layer-norm.js";
import { batchMatMul, fusedMatMul } from "./matmul.js";
import { maxPoolGrad } from "./pool.js";
import { reluGradConfig, reluGradient } from "./relu.js";
import { unsortedSegmentSum } from "./segment-sum.js";
import { mean, sum } from "./sum.js";

const kernels: TrainingKernel[] = [
  batchMatMul,
  fusedMatMul,
  batchNormBackward,
  batchNormForward,
  conv2D,
  conv2DBackpropFilter,
  conv2DBackpropInput,
  depthwiseBackpropFilter,
  depthwiseBackpropInput,
  einsumKernel,
  maxPoolGrad,
  unsortedSegmentSum,
  identity,
  cast,
  transpose,
  slice,
  gather,
  tile,
  sum,
  mean,
  exp,
  erf,
  reluGradient,
  geluForward,
  geluBackward,
  layerNormForward,
  layerNormBackward,
];

const gradients = [batchNormGradient, reluGradConfig, geluGradConfig, layerNormGradConfig];

/** What we registered, to know it again. */
const registered = new WeakSet<KernelConfig>();

/**
 * Makes the wasm backend train: registers the gradient kernels that it lacks and faster or correct ones in the place
 * of some that it ships. Call it once after importing @tensorflow/tfjs-backend-wasm, before or after
 * `tf.setBackend("wasm")`; calling it again does nothing. Kernels of other backends are not touched; the gradient of
 * ReLU, which tfjs keeps for all backends at once, is replaced by an equal one.
 */
export function registerTrainingKernels(): void {
  for (const kernel of kernels) {
    const shipped = getKernel(kernel.name, "wasm");
    if (shipped && registered.has(shipped)) continue;
    if (shipped) unregisterKernel(kernel.name, "wasm");
    const config: KernelConfig = {
      kernelName: kernel.name,
      backendName: "wasm",
      // The shipped kernel still serves the cases that ours leaves to it, so it must be set up.
      setupFunc: shipped?.setupFunc,
      disposeFunc: shipped?.disposeFunc,
      kernelFunc: (args) => {
        const backend = args.backend as KernelBackend;
        const call = {
          backend,
          inputs: args.inputs as Record<string, TensorInfo>,
          attrs: args.attrs ?? {},
          shipped: () => {
            if (!shipped) throw new Error(`the wasm backend ships no kernel ${kernel.name}`);
            return shipped.kernelFunc(args);
          },
        };
        const heap = heapOf(backend);
        return heap ? kernel.onHeap(heap, call) : kernel.composed(call);
      },
    };
    registered.add(config);
    registerKernel(config);
  }
  for (const gradient of gradients) registerGradient(gradient);
}
