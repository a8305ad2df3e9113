// Set-up: the one place that imports the tfjs backends, registers gradients and picks a backend. Libraries stay
// free of it, so that a program that brings its own backend pays for none of this. In Node, tfjs-core alone
// registers no gradients; importing tfjs-layers does. Example: `await useBackend("wasm")`, then train.
import "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import { createRequire } from "node:module";
import { dirname, sep } from "node:path";
import { registerTrainingKernels } from "@bitdiet/wasm-training";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";

/** "wasm": SIMD, one thread, with the training kernels of @bitdiet/wasm-training. "cpu": plain JavaScript, slow; for tests. */
export type Backend = "wasm" | "cpu";

// tfjs refuses to be told the path again once the backend has started.
const EVENTS = ["uncaughtException", "unhandledRejection"] as const;
let isLocated = false;

/**
 * Makes `backend` the current tfjs backend, ready for inference and training. Call it once per thread and backend,
 * before the first tensor. The `.wasm` files are read from the installed tfjs-backend-wasm, so nothing is downloaded.
 *
 * @throws {Error} if the backend cannot start (for "wasm": the `.wasm` files are missing, or no WebAssembly).
 */
export async function useBackend(backend: Backend): Promise<void> {
  if (backend === "wasm" && !isLocated) {
    const require = createRequire(import.meta.url);
    setWasmPaths(dirname(require.resolve("@tensorflow/tfjs-backend-wasm")) + sep);
    isLocated = true;
  }
  tf.enableProdMode(); // only silences the advice to install native bindings
  const before = EVENTS.map((event) => process.listeners(event as "uncaughtException"));
  if (!(await tf.setBackend(backend))) {
    throw new Error(`The tfjs backend "${backend}" could not start.`);
  }
  await tf.ready();
  // The wasm module's glue listens here and rethrows, which prints its whole minified source before any error of ours.
  for (const [i, event] of EVENTS.entries()) {
    for (const listener of process.listeners(event as "uncaughtException")) {
      if (!before[i].includes(listener)) process.removeListener(event, listener);
    }
  }
  if (backend === "wasm") registerTrainingKernels();
}
