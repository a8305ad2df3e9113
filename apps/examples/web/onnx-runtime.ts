// ONNX Runtime as pages have it: WebAssembly, one thread, which needs no special headers from the server. A part of its own.
import type { OnnxRuntime } from "bitdiet/run";
import * as ort from "onnxruntime-web/wasm";

export function startOnnxRuntime(): OnnxRuntime {
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "fatal"; // errors are thrown: they need not be printed, too
  return ort;
}
