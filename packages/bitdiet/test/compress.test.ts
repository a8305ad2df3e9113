import { expect, test } from "vitest";
import { BudgetError, compressModel } from "../src/compress.js";
import { memoryFiles } from "../src/formats/files.js";
import { floatBytes, floatValues } from "../src/formats/floats.js";
import { readModel } from "../src/formats/list.js";
import { openBitdiet } from "../src/loaders/open.js";
import { openSource } from "../src/loaders/source.js";
import type { Dtype, Model } from "../src/model.js";
import { bytesOf, graphModelFiles, layersModelFiles, normals } from "./formats/small-models.js";

function modelOf(tensors: [string, Dtype, number[], Uint8Array, number?][]): Model {
  return {
    format: "safetensors",
    metadata: { layout: new TextEncoder().encode('{"files":[]}') },
    tensors: tensors.map(([name, dtype, shape, bytes, channelAxis]) => ({
      name,
      dtype,
      shape,
      use:
        channelAxis === undefined
          ? { kind: "vector", reason: "a test" }
          : { kind: "weight", channelAxis, reason: "a test" },
      bytes: async () => bytes,
    })),
  };
}
const weights = normals(40_000, 3, 0.05);
const model = modelOf([
  ["w", "float32", [100, 400], bytesOf(weights), 0],
  ["norm", "float32", [100], bytesOf(normals(100, 4))],
  ["scalar", "float32", [], bytesOf(Float32Array.of(0.1))],
  ["ids", "int64", [50], bytesOf(BigInt64Array.from({ length: 50 }, (_, i) => BigInt(i * i)))],
  ["half", "float16", [64, 64], floatBytes("float16", normals(4096, 5)), 0],
  ["brain", "bfloat16", [64, 64], floatBytes("bfloat16", normals(4096, 6)), 1],
]);

test("compressModel(model, { bits }) gives that many bits a weight, and what it reports is what decodes", async () => {
  const { bytes, report } = await compressModel(model, { bits: 4 });
  expect(Math.abs(report.bits - 4)).toBeLessThan(0.01);
  expect(report.bytes).toBe(bytes.length);
  expect(report.originalBytes).toBe(160_000 + 400 + 4 + 400 + 8192 + 8192);
  const coded = report.tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  expect(coded + report.overheadBytes).toBe(bytes.length);
  const decoded = (await openBitdiet(await openSource(bytes))).model;
  expect(decoded.format).toBe("safetensors");
  expect(decoded.metadata).toEqual(model.metadata);
  for (const [i, tensor] of decoded.tensors.entries()) {
    const { name, dtype, shape, bytes: original } = model.tensors[i];
    expect(tensor).toMatchObject({ name, dtype, shape });
    const [before, after] = [await original(), await tensor.bytes()];
    expect(after.length).toBe(before.length);
    const { kept, signalToNoise } = report.tensors[i];
    if (kept === "exact") expect(after).toEqual(before);
    if (kept === "quantized") expect(signalToNoise).toBeGreaterThan(20);
  }
  expect(report.tensors.map(({ kept }) => kept)).toEqual([
    "quantized",
    "rounded",
    "exact",
    "exact",
    "quantized",
    "quantized",
  ]);
});

test("at quality 100 what is not quantized loses less than 2^-12 of each number", async () => {
  const { bytes } = await compressModel(model, { quality: 100 });
  const decoded = (await openBitdiet(await openSource(bytes))).model;
  const before = floatValues("float32", await model.tensors[1].bytes());
  const after = floatValues("float32", await decoded.tensors[1].bytes());
  const errors = [...before].map((value, i) => Math.abs(after[i] / value - 1));
  expect(Math.max(...errors)).toBeLessThanOrEqual(2 ** -12);
  expect(Math.max(...errors)).toBeGreaterThan(2 ** -15);
});

test.each([3_000, 8_000, 17_777, 30_000, 45_000])(
  "maxBytes %i is met within 1 %% below",
  async (maxBytes) => {
    const { bytes } = await compressModel(model, { maxBytes });
    expect(bytes.length).toBeLessThanOrEqual(maxBytes);
    expect(bytes.length).toBeGreaterThanOrEqual(0.99 * maxBytes);
  },
);

test("a higher quality is a larger file and a smaller error", async () => {
  const reports = [];
  for (const quality of [10, 30, 50, 70, 90]) reports.push((await compressModel(model, { quality })).report);
  for (let i = 1; i < reports.length; i++) {
    expect(reports[i].bytes).toBeGreaterThan(reports[i - 1].bytes);
    expect(reports[i].tensors[0].signalToNoise).toBeGreaterThan(reports[i - 1].tensors[0].signalToNoise);
  }
});

test("weights that are not finite, or all zero, come back as they are", async () => {
  const broken = weights.slice();
  broken[17] = Number.NaN;
  broken[18] = Infinity;
  const odd = modelOf([
    ["nan", "float32", [100, 400], bytesOf(broken), 0],
    ["zero", "float32", [100, 400], new Uint8Array(160_000), 0],
    ["empty", "float32", [0, 4], new Uint8Array(0), 0],
  ]);
  await expect(compressModel(odd, { bits: 3 })).rejects.toThrow("nothing to quantize");
  const { bytes } = await compressModel(odd, { quality: 40 });
  const [nan, zero] = (await openBitdiet(await openSource(bytes))).model.tensors;
  const values = floatValues("float32", await nan.bytes());
  expect([values[17], values[18]]).toEqual([Number.NaN, Infinity]);
  expect(Buffer.compare(await zero.bytes(), new Uint8Array(160_000))).toBe(0);
});

/** The same memory. */
const asBuffer = ({ buffer, byteOffset, length }: Uint8Array) => Buffer.from(buffer, byteOffset, length);

test("Buffers of Node's are neither changed nor kept: a second run gives the same file", async () => {
  for (const files of [await layersModelFiles(), graphModelFiles()]) {
    // Of one pool, at odd offsets, as readFileSync gives small files.
    const pool = Buffer.concat([Buffer.of(0), ...Object.values(files)]);
    const before = Buffer.from(pool);
    let at = 1;
    const buffers: Record<string, Buffer> = {};
    for (const [name, { length }] of Object.entries(files)) buffers[name] = pool.subarray(at, (at += length));
    const model = await readModel(memoryFiles(buffers), "model.json");
    const given: Model = {
      ...model,
      tensors: model.tensors.map((tensor) => ({
        ...tensor,
        bytes: async () => asBuffer(await tensor.bytes()),
      })),
    };
    const expected = await compressModel(await readModel(memoryFiles(files), "model.json"), { quality: 20 });
    for (const source of [model, model, given]) {
      const { bytes } = await compressModel(source, { quality: 20 });
      expect(bytes).toEqual(expected.bytes);
      expect(pool.equals(before)).toBe(true);
    }
    const file = Buffer.concat([Buffer.of(0), expected.bytes]).subarray(1);
    const decoded = (await openBitdiet(await openSource(file))).model;
    const plain = (await openBitdiet(await openSource(expected.bytes))).model;
    for (const [i, { bytes }] of decoded.tensors.entries()) {
      const values = await bytes();
      expect(values).toEqual(await plain.tensors[i].bytes());
      values.fill(0);
    }
    expect(file.equals(expected.bytes)).toBe(true);
  }
});

test("a budget below what names and topology take is refused with both numbers", async () => {
  await expect(compressModel(model, { maxBytes: 200 })).rejects.toThrow(BudgetError);
  await expect(compressModel(model, { maxBytes: 200 })).rejects.toThrow(
    /at most 200 bytes, but it takes \d+/,
  );
});

test("a size that the lossless file fits is lossless, and a little less is filled to within 1 %", async () => {
  const lossless = await compressModel(model, { maxBytes: 1e6 });
  expect(lossless.report.tensors.every(({ kept }) => kept === "exact")).toBe(true);
  expect(lossless.report.lambda).toBeUndefined();
  const { length } = lossless.bytes;
  expect((await compressModel(model, { maxBytes: length })).bytes).toEqual(lossless.bytes);
  let before = Infinity;
  for (const share of [0.99, 0.9, 0.75, 0.6, 0.5]) {
    const { bytes, report } = await compressModel(model, { maxBytes: Math.floor(share * length) });
    expect(bytes.length).toBeLessThanOrEqual(share * length);
    expect(bytes.length).toBeGreaterThan(0.99 * share * length - 1);
    expect(report.tensors[0].signalToNoise).toBeLessThan(before);
    before = report.tensors[0].signalToNoise;
  }
});

test("a tensor that takes no more with every bit keeps every bit: two values, equal ones", async () => {
  const signs = weights.map((value) => Math.sign(value));
  const plain = modelOf([
    ["signs", "float32", [100, 400], bytesOf(signs), 0],
    ["ones", "float32", [100, 400], bytesOf(new Float32Array(40_000).fill(0.3)), 0],
    ["weights", "float32", [100, 400], bytesOf(weights), 0],
  ]);
  const { report } = await compressModel(plain, { quality: 90 });
  expect(report.tensors.map(({ kept }) => kept)).toEqual(["exact", "exact", "quantized"]);
});

test("the target divergence gives the smallest file that the judge lets pass, lossless where none does", async () => {
  const judged: number[] = [];
  const judge = async (decoded: Model) => {
    const [before, after] = [model, decoded].map(async (m) =>
      floatValues("float32", await m.tensors[0].bytes()),
    );
    const [a, b] = [await before, await after];
    const error =
      a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.reduce((s, v) => s + v * v, 0);
    judged.push(error);
    return { value: error };
  };
  const { report } = await compressModel(model, { divergence: 0.01 }, { judge });
  expect(report.divergence?.value).toBeLessThanOrEqual(0.01);
  expect(report.divergence?.value).toBeGreaterThan(0.008);
  expect(judged.length).toBeLessThan(10);
  const never = await compressModel(model, { divergence: 0.01 }, { judge: async () => ({ value: NaN }) });
  expect(never.report.tensors.every(({ kept }) => kept === "exact")).toBe(true);
  await expect(compressModel(model, { divergence: 0.1 })).rejects.toThrow("judge: expected a function");
});

test("targets that are none are refused by name", async () => {
  await expect(compressModel(model, { bits: -1 })).rejects.toThrow(
    "bits: expected a number from 0 to 32, got -1",
  );
  await expect(compressModel(model, { quality: 101 })).rejects.toThrow("quality: expected");
  await expect(compressModel(model, { maxBytes: Number.NaN })).rejects.toThrow("maxBytes: expected");
});
