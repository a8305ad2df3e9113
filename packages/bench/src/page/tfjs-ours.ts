import { fromBitdiet } from "bitdiet/tfjs";
import { failed, query, workers } from "./report-time.js";
import { run } from "./tfjs-page.js";

run(fromBitdiet(new URL(query("model"), location.href), { workers })).catch(failed);
