/** How a kernel of this package is written down; register.ts hands it to tfjs. */
import type { KernelBackend, NamedAttrMap, Rank, Tensor, TensorInfo } from "@tensorflow/tfjs-core";
import type { Heap } from "./heap.js";

/** One call: the inputs by name, the attributes, and the backend's own kernel of this name, if it ships one. */
export interface KernelCall {
  inputs: Record<string, TensorInfo>;
  attrs: NamedAttrMap;
  backend: KernelBackend;
  shipped: () => TensorInfo | TensorInfo[];
}

export interface TrainingKernel {
  name: string;
  /** On the shared heap. */
  onHeap(heap: Heap, call: KernelCall): TensorInfo | TensorInfo[];
  /** Where there is no shared heap. */
  composed(call: KernelCall): TensorInfo | TensorInfo[];
}

/** A kernel's input as a tensor: the engine hands tensors over, typed as TensorInfo. */
export function asTensor<R extends Rank>(input: TensorInfo): Tensor<R> {
  return input as Tensor<R>;
}
