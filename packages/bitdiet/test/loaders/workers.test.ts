/** Loading with Workers of node:worker_threads. */
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { buildSync } from "esbuild";
import { afterEach, expect, test, vi } from "vitest";
import { compressModel } from "../../src/compress.js";
import { encodeModel } from "../../src/file/encode.js";
import { readHeader } from "../../src/file/header.js";
import { type DecodeWorker, fetchBitdiet } from "../../src/loaders/fetch.js";
import { CorruptInputError } from "../../src/loaders/onnx.js";
import type { Model } from "../../src/model.js";
import { bytesOf, normals } from "../formats/small-models.js";

const model: Model = {
  format: "safetensors",
  metadata: {},
  tensors: Array.from({ length: 40 }, (_, i) => ({
    name: `w${i}`,
    dtype: "float32" as const,
    shape: [32, 9 * (i + 1)],
    use: i % 2 ? { kind: "weight", channelAxis: 0, reason: "a test" } : { kind: "vector", reason: "a test" },
    bytes: async () => bytesOf(normals(288 * (i + 1), i + 1)),
  })),
};

const running = new Set<Worker>();
const source = fileURLToPath(new URL("../../src/worker.ts", import.meta.url));
const bundled = buildSync({ entryPoints: [source], bundle: true, platform: "node", write: false });
function worker(code = bundled.outputFiles[0].text): Worker {
  const made = new Worker(code, { eval: true });
  running.add(made);
  made.on("exit", () => running.delete(made));
  return made;
}
afterEach(() => expect.poll(() => running.size, { timeout: 10_000 }).toBe(0));

async function decoded(bytes: Uint8Array, options: { worker?: () => DecodeWorker; workers?: number } = {}) {
  const tensors = [];
  for await (const tensor of (await fetchBitdiet(bytes, options)).tensors) tensors.push(tensor);
  return tensors;
}

test("two Workers give the tensors that one thread gives, in the same order, and end", async () => {
  const { bytes } = await compressModel(model, { quality: 50 });
  const expected = await decoded(bytes);
  const answers = [0, 0];
  let started = 0;
  const counted = () => {
    const index = started++;
    return worker().on("message", () => void answers[index]++);
  };
  expect(await decoded(bytes, { worker: counted, workers: 2 })).toEqual(expected);
  expect(started).toBe(2);
  expect(answers[0] + answers[1]).toBe(40);
  expect(Math.min(...answers)).toBeGreaterThan(5);
});

test("what is no Worker at all is done without, and numbers of Workers that are none are refused", async () => {
  const { bytes } = await compressModel(model, { quality: 50 });
  for (const made of [{}, { postMessage: 5, terminate: 1 }])
    await expect(decoded(bytes, { worker: () => made as unknown as DecodeWorker })).resolves.toHaveLength(40);
  for (const workers of [-1, NaN, 1.5, "2"] as number[])
    await expect(decoded(bytes, { worker, workers })).rejects.toThrow(
      `workers: expected a whole number of at least 0, got ${workers}`,
    );
});

test("tensors in two parts come out refined", async () => {
  const quantized = {
    shape: [20, 30],
    integers: Int32Array.from({ length: 600 }, (_, i) => ((i * i) % 61) - 30),
    axis: 0,
    steps: Float32Array.of(0.5),
  };
  const source = { name: "w", dtype: "float32" as const, quantized, refinementBits: 2 };
  const bytes = encodeModel({ tensors: [source] });
  const [tensor] = await decoded(bytes, { worker });
  expect(tensor.values).toEqual(Float32Array.from(quantized.integers, (integer) => integer / 2));
});

test("Workers that do not start, or end in the middle, are done without", async () => {
  const { bytes } = await compressModel(model, { quality: 50 });
  const expected = await decoded(bytes);
  const none = () => {
    throw new Error("forbidden");
  };
  expect(await decoded(bytes, { worker: none })).toEqual(expected);
  expect(await decoded(bytes, { worker: () => worker("import('./nowhere.js')") })).toEqual(expected);
  let answered = 0;
  const mortal = () => {
    const made = worker();
    return made.on("message", () => ++answered === 3 && made.emit("error", new Error("out of memory")));
  };
  expect(await decoded(bytes, { worker: mortal, workers: 1 })).toEqual(expected);
  expect(answered).toBeLessThan(40);
});

test("Workers that end without an error, never answer, or take no messages are done without", async () => {
  const { bytes } = await compressModel(model, { quality: 50 });
  const expected = await decoded(bytes);
  const leaving = () =>
    worker("require('node:worker_threads').parentPort.once('message', () => process.exit(0))");
  expect(await decoded(bytes, { worker: leaving })).toEqual(expected);
  const other = () =>
    worker("require('node:worker_threads').parentPort.postMessage('ready'); setInterval(() => {}, 1e3);");
  expect(await decoded(bytes, { worker: other })).toEqual(expected);
  const deaf = (): DecodeWorker => ({
    postMessage() {
      throw new Error("could not be cloned");
    },
    terminate: () => {},
  });
  expect(await decoded(bytes, { worker: deaf })).toEqual(expected);
  vi.useFakeTimers();
  try {
    let ended = 0;
    const mute = (): DecodeWorker => ({ postMessage() {}, terminate: () => void ended++ });
    const loading = decoded(bytes, { worker: mute, workers: 3 });
    // Until it is there: this thread's pauses are timers, too.
    let isThere = false;
    void loading.finally(() => {
      isThere = true;
    });
    while (!isThere) await vi.advanceTimersByTimeAsync(1000);
    expect(await loading).toEqual(expected);
    expect(ended).toBe(3);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test("bytes that contradict themselves are the loader's CorruptInputError, and Workers end", async () => {
  const { bytes } = await compressModel(model, { quality: 50 });
  const { tensors } = readHeader(bytes);
  const loading = decoded(bytes, {
    worker: () => {
      const made = worker();
      const { postMessage } = made;
      // Cut on the way, where no hash is compared any more.
      made.postMessage = (request) => {
        const isOne = request.entry.name === tensors[7].name;
        postMessage.call(made, isOne ? { ...request, part: request.part.subarray(0, 5) } : request);
      };
      return made;
    },
  });
  await expect(loading).rejects.toThrow(CorruptInputError);
  await expect(loading).rejects.toThrow(`tensor "${tensors[7].name}"`);
});
