import { io } from "@tensorflow/tfjs-core";
import { failed, query } from "./report-time.js";
import { run } from "./tfjs-page.js";

run(io.http(query("model"))).catch(failed);
