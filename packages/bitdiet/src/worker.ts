/**
 * `bitdiet/worker`: the module of a Worker that decodes tensors, of a browser or of node:worker_threads. Elsewhere it does nothing.
 *
 *     const worker = () => new Worker(new URL("bitdiet/worker", import.meta.url), { type: "module" });
 *     tf.loadLayersModel(fromBitdiet(url, { worker }));
 */
import { answerTo, type DecodeAnswer, type DecodeRequest } from "./loaders/decode-request.js";

export { answerTo, type DecodeAnswer, type DecodeRequest } from "./loaders/decode-request.js";

/** What the scope of a browser's Worker and the port of Node's have in common. */
interface Port {
  onmessage: (event: { data: DecodeRequest }) => void;
  postMessage(answer: DecodeAnswer, transfer: ArrayBufferLike[]): void;
}

const port = (
  "WorkerGlobalScope" in globalThis
    ? globalThis
    : globalThis.process?.getBuiltinModule?.("node:worker_threads").parentPort
) as Port | null | undefined;

if (port) {
  // One after the other: answers come in the order of requests.
  let last = Promise.resolve();
  port.onmessage = ({ data }) => {
    last = last.then(async () => {
      const answer = await answerTo(data);
      port.postMessage(answer, "tensor" in answer ? [answer.tensor.values.buffer] : []);
    });
  };
}
