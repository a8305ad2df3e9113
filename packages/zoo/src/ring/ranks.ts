// This process among those that train together. The ring runs on a thread of its own: it is heard, and hears, however long
// the other threads compute. Example: `const ranks = await joinRanks(launchOf()); await ranks.sum([gradients], total);`
import { Worker } from "node:worker_threads";
import { InterruptedError } from "../runner/interruption.js";
import type { Launch } from "./launch.js";
import { alone } from "./ring.js";

export interface Ranks {
  rank: number;
  count: number;
  /** As a ring's; all arrays lie in shared memory. */
  sum(own: readonly Float32Array[], total: Float32Array): Promise<void>;
  /** As a ring's; they lie in shared memory. */
  share(values: Float32Array): Promise<void>;
  /** What this rank is doing meanwhile; fails once another one is lost. */
  orLost<T>(doing: Promise<T>): Promise<T>;
  /** Leaves, with a reason if the others cannot go on without this rank. */
  leave(reason?: string): Promise<void>;
}

/** What the ring's thread is asked for. */
export type Order =
  | { own: readonly Float32Array[]; total: Float32Array }
  | { shared: Float32Array }
  | { reason: string | undefined };

/** What it says: the order is carried out; a rank is lost; somebody else knocked. */
export type Answer = "done" | { lost: string } | { stranger: string };

/** A process that trains alone. */
export const oneRank: Ranks = {
  rank: 0,
  count: 1,
  sum: alone.sum,
  share: alone.share,
  orLost: (doing) => doing,
  leave: alone.close,
};

/** @throws {InterruptedError} if the others are not there, or are lost later: all have to be started again */
export async function joinRanks(launch: Launch): Promise<Ranks> {
  const { rank, hosts } = launch;
  if (hosts.length === 1) return oneRank;
  const thread = new Worker(new URL("../runner/typescript-worker.mjs", import.meta.url), {
    workerData: { module: new URL("./ring-worker.ts", import.meta.url).href, launch },
  });
  const { orLost, lose } = losing();
  let done = () => {};
  thread.on("message", (answer: Answer) => {
    if (answer === "done") done();
    else if ("stranger" in answer) console.error(`rank ${rank}: ${answer.stranger}`);
    else lose(new InterruptedError(`rank ${rank}: ${answer.lost}; start all ranks again, they go on`));
  });
  thread.on("error", lose);
  thread.on("exit", (code) => lose(new Error(`rank ${rank}: the thread of the ring ended (${code})`)));
  const next = () => orLost(new Promise<void>((resolve) => void (done = resolve)));
  const ask = (order: Order): Promise<void> => {
    thread.postMessage(order);
    return next();
  };
  const leave = async (reason?: string) => {
    await ask({ reason }).catch(() => {});
    await thread.terminate();
  };
  await next().catch(async (error) => {
    await thread.terminate();
    throw error;
  });
  return {
    rank,
    count: hosts.length,
    sum: (own, total) => ask({ own, total }),
    share: (shared) => ask({ shared }),
    orLost,
    leave,
  };
}

/** Has everybody who waits for something hear of the first loss. */
function losing() {
  let lost: Error | undefined;
  const waiting = new Set<(error: Error) => void>();
  return {
    lose(error: Error): void {
      lost ??= error;
      for (const reject of waiting) reject(lost);
    },
    orLost<T>(doing: Promise<T>): Promise<T> {
      return new Promise((resolve, reject) => {
        if (lost) reject(lost);
        waiting.add(reject);
        doing.then(resolve, reject).finally(() => waiting.delete(reject));
      });
    },
  };
}
