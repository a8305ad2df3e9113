// A worker's side of jobs.ts: answers one job after the other.
import { parentPort, workerData } from "node:worker_threads";

const { answer } = (await import(workerData.answers)) as { answer: (job: unknown) => Promise<unknown> };
parentPort?.on("message", async (job: unknown) => parentPort?.postMessage({ result: await answer(job) }));
