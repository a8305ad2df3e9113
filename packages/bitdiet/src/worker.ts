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
  port.onmessage = ({ data }) => {
    const answer = answerTo(data);
    port.postMessage(answer, "tensor" in answer ? [answer.tensor.values.buffer] : []);
  };
}
