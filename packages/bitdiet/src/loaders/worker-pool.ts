/**
 * Decoding in Workers: each takes tensors one after another, and the least busy one gets the next. Where Workers do not start (there are
 * none, a policy forbids them, their module is not there), end or do not answer, this thread decodes instead.
 *
 *     const pool = workerPool(() => new Worker(new URL("bitdiet/worker", import.meta.url), { type: "module" }), 2);
 *     await pool.decode({ entry, part }); // as decodePart(entry, part)
 *     pool.close();
 */
import type { DecodedTensor } from "../file/decode-part.js";
import { CorruptInputError } from "../file/errors.js";
import { once } from "../file/once.js";
import type { DecodeAnswer, DecodeRequest } from "./decode-request.js";
import { pause } from "./pause.js";

/** What is needed of a Worker, of the Web's kind or of node:worker_threads'. */
export interface DecodeWorker {
  postMessage(request: unknown): void;
  terminate(): unknown;
  /** The Web's way to hear of answers; */
  addEventListener?(type: string, listener: (event: MessageEvent) => void): void;
  /** and Node's. */
  on?(type: string, listener: (value: DecodeAnswer) => void): unknown;
}

export interface WorkerPool {
  /** @throws {CorruptInputError} as `decodePart` */
  decode(request: DecodeRequest): Promise<DecodedTensor>;
  /** Ends the Workers. */
  close(): void;
}

/** How long a Worker may take: to start, and for each byte of coded data, a tenth of what a slow telephone decodes. */
const PATIENCE_MS = 10_000;
const PATIENCE_MS_PER_BYTE = 1 / 50;

interface Lane {
  worker: DecodeWorker;
  /** Ends the wait for an answer. */
  patience?: ReturnType<typeof setTimeout>;
  /** This thread does what the Worker has not. */
  fail(): void;
  /** Coded bytes that it has still to decode. */
  load: number;
  waiting: { request: DecodeRequest; settle(answer: DecodeAnswer): void }[];
}

/** @param size how many Workers to start, at once */
export function workerPool(start: () => DecodeWorker, size: number): WorkerPool {
  const lanes = new Set<Lane>();
  const open = (): void => {
    const onFailure = () => {
      if (!lanes.delete(lane)) return;
      clearTimeout(lane.patience);
      end(lane.worker);
      for (const { request, settle } of lane.waiting.splice(0)) void answered(request).then(settle);
    };
    const lane: Lane = { worker: start(), fail: onFailure, load: 0, waiting: [] };
    lanes.add(lane);
    const onAnswer = (answer: DecodeAnswer) => {
      // Of another module than `bitdiet/worker`.
      if (!isAnswer(answer)) return onFailure();
      lane.waiting.shift()?.settle(answer);
      expectAnswer(lane);
    };
    const { worker } = lane;
    if (worker.on) worker.on("message", onAnswer);
    else worker.addEventListener?.("message", ({ data }) => onAnswer(data));
    // A Worker of Node's that ends by itself says no more than "exit".
    for (const type of ["error", "messageerror", "exit"]) {
      if (worker.on) worker.on(type, onFailure);
      else worker.addEventListener?.(type, onFailure);
    }
  };
  try {
    while (lanes.size < size) open();
  } catch {
    // With those that did start, if any.
  }
  return {
    async decode(request) {
      const [lane] = [...lanes].sort((a, b) => a.load - b.load);
      const answer = await (lane ? asked(lane, request) : answered(request));
      if ("tensor" in answer) return answer.tensor;
      throw new (answer.isCorrupt ? CorruptInputError : Error)(answer.error);
    },
    close() {
      for (const { worker, patience } of lanes) {
        clearTimeout(patience);
        end(worker);
      }
      lanes.clear();
    },
  };
}

function end(worker: DecodeWorker): void {
  try {
    worker.terminate();
  } catch {
    // What was made is no Worker at all.
  }
}

const isAnswer = (message: unknown): boolean =>
  typeof message === "object" && message !== null && ("tensor" in message || "error" in message);

const ownThread = /* @__PURE__ */ once(() => import("./decode-request.js"));

let answering: Promise<unknown> = Promise.resolve();

/** What this thread answers, one request after the other, with pauses for whatever else waits. */
function answered(request: DecodeRequest): Promise<DecodeAnswer> {
  const answer = answering.then(async () => {
    await pause();
    // Pages whose Workers decode need not fetch it.
    const { answerTo } = await ownThread();
    return answerTo(request, pause);
  });
  answering = answer.catch(() => undefined);
  return answer;
}

/** Waits for the next answer of a Worker that has something to do. */
function expectAnswer(lane: Lane): void {
  clearTimeout(lane.patience);
  if (lane.waiting.length === 0) return;
  const { length } = lane.waiting[0].request.part;
  lane.patience = setTimeout(lane.fail, PATIENCE_MS + PATIENCE_MS_PER_BYTE * length);
}

async function asked(lane: Lane, request: DecodeRequest): Promise<DecodeAnswer> {
  const { length } = request.part;
  lane.load += length;
  const answer = await new Promise<DecodeAnswer>((settle) => {
    lane.waiting.push({ request, settle });
    if (lane.waiting.length === 1) expectAnswer(lane);
    try {
      lane.worker.postMessage(request);
    } catch {
      lane.fail();
    }
  });
  lane.load -= length;
  return answer;
}
