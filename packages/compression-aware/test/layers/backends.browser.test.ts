/** Training on wasm in Node; on WebGL, WebGPU and wasm in Chromium. */
import "@tensorflow/tfjs-layers";
import { registerTrainingKernels } from "@bitdiet/wasm-training";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { describe, test } from "vitest";
import { subjects } from "./models.js";
import { expectTrainedAlike } from "./trained-alike.js";

const isBrowser = typeof window !== "undefined";

async function useWasm(): Promise<void> {
  if (isBrowser) {
    // Vite serves the backend's binaries under these addresses.
    const { default: simd } = (await import(
      // @ts-expect-error resolved by Vite
      "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url"
    )) as { default: string };
    setWasmPaths({
      "tfjs-backend-wasm.wasm": simd,
      "tfjs-backend-wasm-simd.wasm": simd,
      "tfjs-backend-wasm-threaded-simd.wasm": simd,
    });
  }
  registerTrainingKernels();
  await tf.setBackend("wasm");
}

async function useWebgl(): Promise<void> {
  await import("@tensorflow/tfjs-backend-webgl");
  await tf.setBackend("webgl");
}

async function useWebgpu(): Promise<void> {
  await import("@tensorflow/tfjs-backend-webgpu");
  await tf.setBackend("webgpu");
}

/** Whether there is a device: Chromium may be built without one in software. */
async function hasWebgpu(): Promise<boolean> {
  // Node 20 has no navigator.
  if (!isBrowser) return false;
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<unknown> } };
  return !!(await gpu?.requestAdapter());
}

const backends = {
  wasm: useWasm,
  ...(isBrowser && { webgl: useWebgl }),
  ...((await hasWebgpu()) && { webgpu: useWebgpu }),
};
describe.each(Object.entries(backends))("%s", (backend, use) => {
  // A GPU in software takes half a minute for each kind of network, most of it to compile.
  const some = backend === "wasm" ? subjects : subjects.slice(-1);
  test.each(some)("$name", { timeout: 180_000 }, async (subject) => {
    await use();
    await expectTrainedAlike(subject);
  });
});
