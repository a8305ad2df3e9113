import { onnxFromBitdiet } from "bitdiet/onnx";
import { run } from "./onnx-page.js";
import { failed, query, workers } from "./report-time.js";

run(async () => {
  const { model, externalData } = await onnxFromBitdiet(new URL(query("model"), location.href), { workers });
  return { model, options: { externalData } };
}).catch(failed);
