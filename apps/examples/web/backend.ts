// TF.js on its wasm backend, once.
// Example: `await startBackend(); const model = await loadLayersModel("model.json")`.
/// <reference types="vite/client" />
import "@tensorflow/tfjs-backend-wasm";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import wasm from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url";
import * as core from "@tensorflow/tfjs-core";

let isReady = false;

export async function startBackend(): Promise<void> {
  if (isReady) return;
  // One thread needs no special headers from the server, and every browser of today has SIMD: one file serves all.
  core.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  setWasmPaths({
    "tfjs-backend-wasm.wasm": wasm,
    "tfjs-backend-wasm-simd.wasm": wasm,
    "tfjs-backend-wasm-threaded-simd.wasm": wasm,
  });
  if (!(await core.setBackend("wasm")))
    throw new Error("TensorFlow.js could not start its WebAssembly backend.");
  isReady = true;
}
