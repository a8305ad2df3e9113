// The ring's side of ranks.ts: one order after the other.
import { parentPort, workerData } from "node:worker_threads";
import type { Answer, Order } from "./ranks.js";
import { joinRing, LostError } from "./ring.js";

const post = (answer: Answer) => parentPort?.postMessage(answer);
const lose = ({ message }: Error) => post({ lost: message });
const joined = joinRing(workerData.launch, lose, (stranger) => post({ stranger }));
const ring = await joined.catch((error: Error) => void lose(error));

parentPort?.on("message", async (order: Order) => {
  try {
    if ("own" in order) await ring?.sum(order.own, order.total);
    else if ("shared" in order) await ring?.share(order.shared);
    else await ring?.close(order.reason);
    post("done");
  } catch (error) {
    ring?.close((error as Error).message);
    if (error instanceof LostError) lose(error);
    else throw error;
  }
});
if (ring) post("done");
