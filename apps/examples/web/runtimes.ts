// A runtime for whatever model is open: TF.js on its wasm backend, or ONNX Runtime, which is loaded once a model needs it.
// Example: `const runner = await startRunner(model); await runner.run(feeds)`.
import * as core from "@tensorflow/tfjs-core";
import type { Model } from "bitdiet";
import { type OnnxRuntime, onnxRunner, type Runner, tfjsRunner } from "bitdiet/run";
import { startBackend } from "./backend.js";

/** @throws {Error} if there is no runtime for such a model, or it cannot load this one */
export async function startRunner(model: Model): Promise<Runner> {
  if (model.format === "onnx") return onnxRunner(model, await onnxRuntime());
  await startBackend();
  return model.format === "tfjs-layers"
    ? tfjsRunner(model, { core, layers: await import("@tensorflow/tfjs-layers") })
    : tfjsRunner(model, { core, converter: await import("@tensorflow/tfjs-converter") });
}

export async function onnxRuntime(): Promise<OnnxRuntime> {
  const { startOnnxRuntime } = await import("./onnx-runtime.js");
  return startOnnxRuntime();
}
