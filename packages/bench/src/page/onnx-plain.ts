import { run } from "./onnx-page.js";
import { failed, query } from "./report-time.js";

run(async () => ({ model: new Uint8Array(await (await fetch(query("model"))).arrayBuffer()) })).catch(failed);
