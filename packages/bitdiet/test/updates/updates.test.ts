/** What has changed in a model since a file: told in few bytes, applied to that very file, exactly. */
import { describe, expect, test, vi } from "vitest";
import { decodeModel, readHeader } from "../../src/file/decode.js";
import type { QuantizedTensor } from "../../src/file/quantized-tensor.js";
import {
  applyUpdate,
  compressModel,
  encodeModel,
  encodeUpdate,
  floatValues,
  openBitdiet,
  openSource,
} from "../../src/index.js";
import { fetchBitdiet } from "../../src/loaders/fetch.js";
import type { Model, ModelTensor } from "../../src/model.js";
import { bitsBetween, differenceOf, withBits, withDifference } from "../../src/updates/difference.js";
import { normals } from "../formats/small-models.js";
import { bytesOf, weight } from "../samples.js";

const tensor = (
  name: string,
  shape: number[],
  values: ArrayBufferView,
  more: Partial<ModelTensor> = {},
): ModelTensor => ({
  name,
  shape,
  dtype: "float32",
  use: { kind: "weight", channelAxis: 0, reason: "test" },
  bytes: async () => bytesOf(values),
  ...more,
});
const vector = { kind: "vector" as const, reason: "test" };
const int8 = {
  dtype: "int8" as const,
  use: { kind: "integers" as const, lie: { axis: 0, width: 0 }, reason: "test" },
};

/** A model, and the same a little trained: one matrix, a bias and an int8 matrix have changed. */
function model(training = 0): Model {
  const trained = (count: number, seed: number) => {
    const change = normals(count, seed + 100, 0.01 * training);
    return normals(count, seed, 0.1).map((value, i) => value + change[i]);
  };
  return {
    format: "safetensors",
    metadata: { layout: new TextEncoder().encode("the same") },
    tensors: [
      tensor("a", [64, 90], trained(5760, 1)),
      tensor("b", [40, 8, 3, 3], normals(2880, 2, 0.1)),
      tensor("bias", [64], trained(64, 3), { use: vector }),
      tensor(
        "ids",
        [50],
        Int32Array.from({ length: 50 }, (_, i) => i),
        { dtype: "int32", use: { kind: "exact", reason: "" } },
      ),
      tensor(
        "kept",
        [16, 24],
        Int8Array.from(normals(384, 4, 20), (v) => v + 3 * training),
        int8,
      ),
    ],
  };
}
const valuesOf = async (file: Uint8Array) =>
  new Map((await decodeModel(file)).tensors.map(({ name, values }) => [name, values]));

test("what has not changed costs nothing but the plan", async () => {
  const base = (await compressModel(model(), { quality: 60 })).bytes;
  const { bytes, report } = await encodeUpdate(base, model(), { exact: true });
  expect(report.tensors).toMatchObject({ kept: 2, own: 0, gone: 0 }); // floats have lost bits in the base
  const same = await encodeUpdate(base, (await openBitdiet(await openSource(base))).model);
  expect(same.report.tensors).toEqual({ kept: 5, changed: 0, own: 0, gone: 0 });
  expect(same.bytes.length).toBeLessThan(80);
  expect(await decodeModel(await applyUpdate(base, same.bytes))).toEqual(await decodeModel(base));
  expect(bytes.length).toBeGreaterThan(same.bytes.length);
});

describe.each([undefined, { quality: 40 }, { quality: 80 }, { maxBytes: 3000 }] as const)(
  "a little training, %o",
  (target) => {
    test("is less than a new file as far off, and what is applied is what loaders give", async () => {
      const base = (await compressModel(model(), { quality: 60 })).bytes;
      const next = model(1);
      const { bytes } = await encodeUpdate(base, next, target);
      if (target && "maxBytes" in target) expect(bytes.length).toBeLessThanOrEqual(Number(target.maxBytes));
      expect(bytes.length).toBeLessThan(0.75 * base.length);
      const patched = await valuesOf(await applyUpdate(base, bytes));
      const { tensors } = await fetchBitdiet({ base, update: bytes });
      for await (const { name, values } of tensors) expect(patched.get(name)).toEqual(values);
      const wanted = floatValues("float32", await next.tensors[0].bytes());
      const error = (values: Float32Array) =>
        values.reduce((sum, value, i) => sum + (value - wanted[i]) ** 2, 0);
      const before = error((await valuesOf(base)).get("a") as Float32Array);
      expect(error(patched.get("a") as Float32Array)).toBeLessThan(before);
      expect(patched.get("kept")).toEqual(await next.tensors[4].bytes());
    });
  },
);

test("every bit comes back where it is wanted", async () => {
  for (const quality of [20, 60, 100]) {
    const base = (await compressModel(model(), { quality })).bytes;
    const next = model(1);
    const { bytes } = await encodeUpdate(base, next, { exact: true });
    const after = await valuesOf(await applyUpdate(base, bytes));
    for (const tensor of next.tensors) expect(bytesOf(after.get(tensor.name)!)).toEqual(await tensor.bytes());
  }
});

test("tensors that are new, of another shape or gone, and metadata that has changed", async () => {
  const base = (await compressModel(model(), { quality: 60 })).bytes;
  const [a, b, bias, ids] = model(1).tensors;
  const next: Model = {
    format: "safetensors",
    metadata: { layout: new TextEncoder().encode("another"), more: new Uint8Array([1]) },
    tensors: [
      tensor("first", [8, 8], normals(64, 9)),
      a,
      tensor("b", [20, 8, 3, 3], normals(1440, 2, 0.1)),
      ids,
      { ...bias, name: "last" },
    ],
  };
  const file = await applyUpdate(base, (await encodeUpdate(base, next)).bytes);
  const { tensors, metadata } = await decodeModel(file);
  expect(tensors.map(({ name, shape }) => [name, shape])).toEqual(
    next.tensors.map(({ name, shape }) => [name, shape]),
  );
  expect(metadata.slice(-2).map(({ name, bytes }) => [name, bytes])).toEqual(Object.entries(next.metadata));
  await expect(encodeUpdate(base, { ...next, tensors: [b, a] })).rejects.toThrow("order");
  await expect(encodeUpdate(base, { ...next, metadata: {} })).rejects.toThrow("layout is not there");
  await expect(encodeUpdate(base, { ...next, format: "onnx" })).rejects.toThrow(
    "expected a model of safetensors",
  );
});

test("another base, and an update that is altered anywhere, are refused", async () => {
  const base = (await compressModel(model(), { quality: 60 })).bytes;
  const other = (await compressModel(model(), { quality: 61 })).bytes;
  const { bytes } = await encodeUpdate(base, model(1));
  await expect(applyUpdate(other, bytes)).rejects.toThrow("not for that of");
  await expect(applyUpdate(base, base)).rejects.toThrow("Not an update");
  await expect(openSource(bytes).then((source) => openBitdiet(source))).rejects.toThrow("Not a model");
  for (let at = 0; at < bytes.length; at += 7) {
    const altered = bytes.slice();
    altered[at] ^= 1 << (at % 8);
    await expect(applyUpdate(base, altered)).rejects.toMatchObject({ name: "CorruptInputError" });
  }
  await expect(applyUpdate(base, bytes.subarray(0, bytes.length - 1))).rejects.toThrow();
});

test("a base is taken from the cache, and downloaded where the cache has an earlier file of its name", async () => {
  const [{ bytes: base }, { bytes: earlier }] = await Promise.all(
    [model(), model(3)].map((each) => compressModel(each, { quality: 60 })),
  );
  const { bytes: update } = await encodeUpdate(base, model(1));
  const url = "https://example.com/v1.bitdiet";
  const [kept, asked] = [new Map<string, Uint8Array>(), [] as string[]];
  vi.stubGlobal("caches", {
    open: async () => ({
      match: async (name: string) =>
        kept.has(name) && new Response(kept.get(name) as Uint8Array<ArrayBuffer>),
      put: async (name: string, answer: Response) =>
        void kept.set(name, new Uint8Array(await answer.arrayBuffer())),
    }),
  });
  const fetchFunc = async (name: string | URL | Request) => {
    asked.push(`${name}`);
    return new Response(base as Uint8Array<ArrayBuffer>);
  };
  try {
    for (const [there, downloads] of [
      [undefined, 1],
      [base, 0],
      [earlier, 1],
    ] as const) {
      kept.clear();
      if (there) kept.set(url, there);
      asked.length = 0;
      const { tensors } = await fetchBitdiet({ base: url, update }, { fetchFunc: fetchFunc as typeof fetch });
      for await (const { name } of tensors) expect(name).not.toBe("");
      expect(asked).toEqual(Array(downloads).fill(url));
      expect(kept.get(url)).toEqual(base);
    }
  } finally {
    vi.unstubAllGlobals();
  }
});

test("integers and bits are what they were with their difference", () => {
  const before: QuantizedTensor = weight([6, 50], 0, 4, 1);
  const values = normals(300, 5, 0.3);
  for (const octaves of [-2, 0, 3]) {
    const difference = differenceOf(before, values, { octaves, rate: 0 })!;
    const after = withDifference(before, difference);
    after.integers.forEach((integer, i) => {
      const row = Math.floor(i / 50);
      const unit = before.steps[row] * 2 ** -octaves;
      expect(Math.abs(integer * after.steps[row] - values[i])).toBeLessThanOrEqual(0.5001 * unit);
    });
  }
  const pruned = { ...before, steps: before.steps.map((step, row) => (row === 2 ? 0 : step)) };
  expect(differenceOf(pruned, values, { octaves: 0, rate: 0 })).toBeUndefined();
  for (const width of [1, 2, 4, 8]) {
    const [a, b] = [bytesOf(normals(40, 6)), bytesOf(normals(40, 7))];
    expect(withBits(a, bitsBetween(a, b, width), width)).toEqual(b);
  }
  // What is near is small, of either sign.
  expect([...bitsBetween(Uint8Array.of(0, 1, 9, 0), Uint8Array.of(255, 0, 9, 0), 2)]).toEqual([1, 0, 0, 0]);
});

test("an update is a file: it holds no more than its tensors and a plan of 33 bytes or so", async () => {
  const base = encodeModel({
    tensors: [],
    metadata: [{ name: "format", bytes: new TextEncoder().encode("safetensors") }],
  });
  const { bytes } = await encodeUpdate(base, { format: "safetensors", tensors: [], metadata: {} });
  expect(readHeader(bytes).metadata).toMatchObject([{ name: "update", size: 32 }]);
});
