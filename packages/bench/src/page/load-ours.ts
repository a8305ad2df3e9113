/** A page that loads a model and does nothing with it: what its thread takes is the loader's. */
import { fromBitdiet } from "bitdiet/tfjs";
import { done, failed, query, workers } from "./report-time.js";

const handler = fromBitdiet(new URL(query("model"), location.href), { workers });
handler.load!()
  .then(({ weightData }) => done(new Float32Array(weightData as ArrayBuffer, 0, 4)))
  .catch(failed);
