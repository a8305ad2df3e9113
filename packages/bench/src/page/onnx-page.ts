/** The page of ONNX Runtime: a model from the URL in the query, one input of noise. */
import * as ort from "onnxruntime-web/wasm";
import { done, query } from "./report-time.js";

type Options = ort.InferenceSession.SessionOptions;

/** @param load gives the model's bytes and what belongs to them */
export async function run(load: () => Promise<{ model: Uint8Array; options?: Options }>): Promise<void> {
  ort.env.wasm.numThreads = 1;
  // Both at once: the model does not wait for the runtime.
  const binary = fetch("/ort/ort-wasm-simd-threaded.wasm").then((response) => response.arrayBuffer());
  const loading = load();
  ort.env.wasm.wasmBinary = await binary;
  const { model, options } = await loading;
  const session = await ort.InferenceSession.create(model, options);
  const shape = query("shape").split(",").map(Number);
  const noise = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
    Math.sin(i * 12.9898),
  );
  const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", noise, shape) });
  done(outputs[session.outputNames[0]].data as Float32Array);
}
