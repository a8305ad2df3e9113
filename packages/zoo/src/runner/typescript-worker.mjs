// Starts a worker thread whose module is TypeScript: tsx's hooks reach the main thread only, so each worker registers
// them itself. `new Worker(new URL("./typescript-worker.mjs", import.meta.url), { workerData: { module } })`
import { workerData } from "node:worker_threads";
import { register } from "tsx/esm/api";

register();
await import(workerData.module);
