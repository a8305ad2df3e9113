/** The page of TF.js: a layers model from the URL in the query, one input of noise. */
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import { done, query } from "./report-time.js";

/** @param handler what loads the model in this variant */
export async function run(handler: tf.io.IOHandler): Promise<void> {
  setWasmPaths("/tfjs/");
  // Both at once: the model does not wait for the backend.
  const artifacts = handler.load!();
  await tf.setBackend("wasm");
  const model = await loadLayersModel({ load: () => artifacts });
  const shape = query("shape").split(",").map(Number);
  const outputs = model.predict(tf.randomUniform(shape, -1, 1, "float32", 1)) as tf.Tensor;
  done(await outputs.data());
}
