/**
 * The heap of tfjs-backend-wasm, shared with our own module: the kernels of assembly/ read and write the backend's tensors where
 * they lie, with no copy. The backend exports its memory, malloc and free unofficially (4.22.0), so all of them are
 * looked for; where one is missing, `heapOf` is null and the kernels are composed from the backend's own instead.
 */
import type { DataId, KernelBackend, TensorInfo } from "@tensorflow/tfjs-core";
import { util } from "@tensorflow/tfjs-core";
import { kernels } from "./generated/kernels.js";

/** Exports of assembly/index.ts. Addresses and sizes are 32-bit integers. */
type KernelName =
  | "matMul"
  | "matMulScratch"
  | "winogradConvolution"
  | "winogradFilterGradient"
  | "winogradScratch"
  | "convolution"
  | "convolutionFilterGradient"
  | "convolutionInputGradient"
  | "convolutionScratch"
  | "depthwiseFilterGradient"
  | "depthwiseInputGradient"
  | "batchNormApply"
  | "batchNormGradient"
  | "batchNormScratch"
  | "columnMoments"
  | "maxPoolGradient"
  | "segmentSum"
  | "layerNorm"
  | "layerNormGradient"
  | "sumAxis"
  | "sumScratch"
  | "erf"
  | "exp"
  | "gelu"
  | "geluGradient"
  | "reluGradient"
  | "copyRuns"
  | "gatherRows"
  | "repeatBlocks";

export interface Heap {
  /** What assembly/index.ts exports; booleans are passed as 0 or 1. */
  kernels: Record<KernelName, (...numbers: number[]) => number>;
  /** Address of a tensor's first element. */
  address(tensor: TensorInfo): number;
  /** A view of an int32 tensor, valid until something is allocated. */
  integers(tensor: TensorInfo): Int32Array;
  /** A new tensor of float32, its values undefined. */
  allocate(shape: number[]): TensorInfo;
  /** Calls `use` with the address of `bytes` of scratch, freed afterwards. */
  scratch<T>(bytes: number, use: (address: number) => T): T;
}

/** The parts of BackendWasm used here; `wasm.asm` is not part of its types. */
interface SharedBackend extends KernelBackend {
  wasm?: {
    asm?: { memory?: WebAssembly.Memory };
    _malloc?: (bytes: number) => number;
    _free?: (address: number) => void;
  };
  dataIdMap?: { get(id: DataId): { memoryOffset: number } };
  makeOutput?(shape: number[], dtype: "float32"): TensorInfo;
}

const heaps = new WeakMap<KernelBackend, Heap | null>();

/** The backend's heap with our kernels on it, or null where it is out of reach. */
export function heapOf(backend: KernelBackend): Heap | null {
  let heap = heaps.get(backend);
  if (heap === undefined) {
    heap = open(backend);
    heaps.set(backend, heap);
  }
  return heap;
}

function open(backend: SharedBackend): Heap | null {
  const { wasm, dataIdMap } = backend;
  const memory = wasm?.asm?.memory;
  const malloc = wasm?._malloc;
  const free = wasm?._free;
  const makeOutput = backend.makeOutput?.bind(backend);
  // Shared memory (the threaded build, in cross-origin isolated pages) does not link with a module that has not
  // declared it so.
  const reachable = memory instanceof WebAssembly.Memory && memory.buffer instanceof ArrayBuffer;
  if (!reachable || !malloc || !free || !dataIdMap || !makeOutput) return null;
  const kernels = instantiate(memory);
  if (kernels === null) return null;
  return {
    kernels,
    address: (tensor) => dataIdMap.get(tensor.dataId).memoryOffset,
    integers: ({ dataId, shape }) =>
      new Int32Array(memory.buffer, dataIdMap.get(dataId).memoryOffset, util.sizeFromShape(shape)),
    allocate: (shape) => makeOutput(shape, "float32"),
    scratch: (bytes, use) => {
      const address = malloc(bytes) >>> 0;
      if (address === 0 && bytes > 0) throw new Error(`the wasm heap has no ${bytes} bytes left for scratch`);
      try {
        return use(address);
      } finally {
        free(address);
      }
    },
  };
}

/** Null where the engine has no SIMD or forbids synchronous compilation. */
function instantiate(memory: WebAssembly.Memory): Heap["kernels"] | null {
  try {
    const bytes = Uint8Array.from(atob(kernels), (character) => character.charCodeAt(0));
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    return instance.exports as unknown as Heap["kernels"];
  } catch (error) {
    if (
      error instanceof WebAssembly.CompileError ||
      error instanceof WebAssembly.LinkError ||
      error instanceof RangeError
    )
      return null;
    throw error;
  }
}
