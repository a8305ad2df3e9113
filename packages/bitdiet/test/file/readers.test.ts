/** Differential test: what the writer writes, all readers read alike, over everything that a file can hold. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MessageChannel } from "node:worker_threads";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { type DecodedTensor, decodeModel } from "../../src/file/decode.js";
import { encodeModel, type SourceModel, type SourceTensor } from "../../src/file/encode.js";
import { answerTo, type DecodeRequest } from "../../src/loaders/decode-request.js";
import { type DecodeWorker, fetchBitdiet } from "../../src/loaders/fetch.js";
import { openBitdiet, tensorBytes } from "../../src/loaders/open.js";
import { openSource } from "../../src/loaders/source.js";
import { streamDecoder } from "../../src/loaders/stream.js";
import { type Dtype, dtypeBits, dtypeNames, tensorBytes as sizeOf } from "../../src/model.js";
import { bytesOf, random } from "../samples.js";

const folder = mkdtempSync(join(tmpdir(), "bitdiet-readers-"));
afterAll(() => rmSync(folder, { recursive: true }));
const python = spawnSync("python3", ["-c", "import numpy"]).status === 0;
const reader = fileURLToPath(new URL("../../python/reader.py", import.meta.url));

/** A tensor of any kind, from a seed. */
function tensorOf(name: string, seed: number): SourceTensor {
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  const shape = Array.from({ length: below(5) }, () => 1 + below(5));
  if (below(3) === 0) {
    const dtype = dtypeNames[below(dtypeNames.length)];
    const size = sizeOf(dtype, shape) ?? below(40);
    const values = [0, 1, 255, below(256)];
    const kind = below(3);
    const bytes = Uint8Array.from({ length: size }, (_, i) =>
      kind === 0 ? below(256) : kind === 1 ? values[below(4)] : i,
    );
    const integers = { axis: below(Math.max(1, shape.length)), width: below(2) && [2, 4, 8][below(3)] };
    return { name, dtype, shape, bytes, ...(below(2) === 0 && { integers }) };
  }
  const dtype = (["float32", "float16", "bfloat16", "float64"] as const)[below(4)];
  const axis = below(Math.max(1, shape.length));
  const rows = shape[axis] ?? 1;
  const length = shape.reduce((a, b) => a * b, 1) / rows;
  const spread = 4 ** below(below(3) === 0 ? 15 : 4);
  const integers = Int32Array.from({ length: rows * length }, () => Math.round((next() - next()) * spread));
  const onGrid = below(2) === 0;
  const steps = Float32Array.from({ length: below(2) === 0 ? 1 : rows }, () =>
    below(4) === 0 ? 0 : onGrid ? 2 ** -below(9) : next(),
  );
  const refinementBits = below(3) === 0 ? 1 + below(4) : undefined;
  return { name, dtype, quantized: { shape, integers, axis, steps }, refinementBits };
}

function modelOf(seed: number): SourceModel {
  const next = random(seed);
  const tensors = Array.from({ length: 1 + Math.floor(6 * next()) }, (_, i) =>
    // Some are equal to others.
    tensorOf(
      `layer${i}/${["weight", "bias", "__proto__", "größe"][i % 4]}`,
      Math.floor((next() < 0.3 ? 3 : 1e6) * next()),
    ),
  );
  const metadata = ["format", "__proto__", "constructor"].slice(Math.floor(4 * next())).map((name) => ({
    name,
    bytes: new Uint8Array(Math.floor(300 * next())).map((_, i) => (i * i) % 61),
  }));
  return { tensors, metadata: [{ name: "kind", bytes: new TextEncoder().encode("onnx") }, ...metadata] };
}

const seeds = fc.record({
  seed: fc.nat(1e9),
  minGain: fc.constantFrom(0, 0.5, 1),
  progressive: fc.boolean(),
});
const byName = (tensors: readonly DecodedTensor[]) => new Map(tensors.map((tensor) => [tensor.name, tensor]));

/** What a Worker is given and answers, on this thread. */
function clonedWorker(): DecodeWorker {
  const { port1, port2 } = new MessageChannel();
  port2.on("message", async (request: DecodeRequest) => port2.postMessage(await answerTo(request)));
  return {
    postMessage: (request) => port1.postMessage(request),
    on: (type, listener) => type === "message" && port1.on(type, listener),
    terminate: () => port1.close(),
  };
}

test("decodeModel, streamDecoder, openBitdiet, and fetchBitdiet with Workers and without, read the same from any file", async () => {
  await fc.assert(
    fc.asyncProperty(seeds, fc.integer({ min: 1, max: 400 }), async ({ seed, ...options }, chunk) => {
      const model = modelOf(seed);
      const bytes = encodeModel(model, options);
      const { tensors, metadata } = await decodeModel(bytes);
      expect(metadata).toEqual(model.metadata);
      expect(tensors.map(({ name }) => name)).toEqual(model.tensors.map(({ name }) => name));
      model.tensors.forEach((tensor, i) => {
        if ("bytes" in tensor) expect(bytesOf(tensors[i].values)).toEqual(tensor.bytes);
      });

      const decoder = streamDecoder();
      const items = [];
      for (let at = 0; at < bytes.length; at += chunk)
        items.push(...(await decoder.push(bytes.slice(at, at + chunk))));
      decoder.end();
      expect(items.flatMap((item) => ("metadata" in item ? item.metadata : []))).toEqual(metadata);
      const final = items.flatMap((item) => ("tensor" in item && item.isFinal ? item.tensor : []));
      expect(byName(final)).toEqual(byName(tensors));
      expect(final.length).toBe(tensors.length);

      for (const worker of [undefined, clonedWorker]) {
        const arriving = await fetchBitdiet(bytes, { worker });
        expect([...arriving.metadata]).toEqual(metadata.map((each) => [each.name, each.bytes]));
        const fetched = [];
        for await (const tensor of arriving.tensors) fetched.push(tensor);
        expect(fetched).toEqual(final);
      }

      if (!metadata.some(({ name }) => name === "format")) return;
      const opened = await openBitdiet(await openSource(bytes));
      for (const [i, tensor] of opened.model.tensors.entries())
        expect(await tensor.bytes()).toEqual(tensorBytes(tensors[i]));
    }),
    { numRuns: 150 },
  );
});

/** Whether numpy has the type: reader.py gives bytes of others, without a shape. */
const hasNumbers = (dtype: Dtype) => dtype !== "string" && dtypeBits[dtype] % 8 === 0;

test.skipIf(!python)("reader.py reads the same as decodeModel from any file", async () => {
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
  const made = Array.from({ length: 40 }, async (_, seed) => {
    const bytes = encodeModel(modelOf(seed), { minGain: seed % 2, progressive: seed % 3 === 0 });
    const path = join(folder, `${seed}.bitdiet`);
    writeFileSync(path, bytes);
    return { path, ...(await decodeModel(bytes)) };
  });
  const files = await Promise.all(made);
  const printed = execFileSync("python3", [reader, ...files.map(({ path }) => path)], { encoding: "utf8" });
  const expected = files.flatMap(({ tensors, metadata }) => [
    ...tensors.map(({ name, dtype, shape, values }) => [
      name,
      values instanceof Float32Array || hasNumbers(dtype) ? shape : [],
      sha256(bytesOf(values)),
    ]),
    ...metadata.map(({ name, bytes }) => [name, [], sha256(bytes)]),
  ]);
  expect(
    printed
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual(expected);
});
