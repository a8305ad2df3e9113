/** Tables that networks keep exactly take what a good compressor takes, and come back bit by bit. */
import { brotliCompressSync, constants } from "node:zlib";
import { expect, test } from "vitest";
import { CorruptInputError } from "../../src/file/errors.js";
import { readLossless } from "../../src/file/lossless.js";
import { leastLossless, writeLossless } from "../../src/file/write-lossless.js";
import type { Dtype } from "../../src/model.js";
import { bytesOf, random, roundedBefore } from "../samples.js";

const next = random(3);
const floats = (count: number, value: (i: number) => number) =>
  bytesOf(Float32Array.from({ length: count }, (_, i) => value(i)));
const some = Float32Array.from({ length: 300 }, () => next() - 0.5);

const tables: [string, Dtype, number[], Uint8Array][] = [
  ["one value", "float32", [50, 100], floats(5000, () => 0.1)],
  ["two values", "float32", [64, 128], floats(8192, () => (next() < 0.3 ? 0 : -3e38))],
  ["a causal mask", "float32", [64, 64], floats(4096, (i) => (i % 64 <= i >> 6 ? 0 : -Infinity))],
  [
    "NaNs, signed zeros and infinities",
    "float32",
    [64],
    floats(64, (i) => [NaN, -0, 0, Infinity, -1][i % 5]),
  ],
  ["whole numbers", "float32", [64, 128], floats(8192, () => Math.round(60 * (next() + next() - 1)))],
  ["bytes over 255", "float32", [64, 128], floats(8192, () => Math.floor(256 * next()) / 255)],
  ["300 values", "float32", [64, 512], floats(32768, () => some[Math.floor(300 * next())])],
  ["weights", "float32", [64, 128], floats(8192, () => next() + next() + next() - 1.5)],
  ["mostly zeros", "float32", [128, 128], floats(16384, () => (next() < 0.95 ? 0 : next()))],
  ["a ramp", "float32", [1000], floats(1000, (i) => i / 999)],
  [
    "a grid",
    "float32",
    [6400, 2],
    floats(12800, (i) => ((i & 1 ? Math.floor(i / 160) : (i >> 1) % 80) + 0.5) / 80),
  ],
  ["a window", "float32", [4096], floats(4096, (i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / 4096))],
  ["positions", "float32", [128, 64], floats(8192, (i) => Math.sin((i >> 6) / 10000 ** ((i & 63) / 64)))],
  [
    "a cosine table",
    "float32",
    [128, 128],
    floats(16384, (i) => Math.cos((Math.PI * (2 * (i & 127) + 1) * (i >> 7)) / 256)),
  ],
  [
    "a Fourier basis",
    "float32",
    [64, 64],
    floats(4096, (i) => Math.cos((2 * Math.PI * (i & 63) * (i >> 6)) / 64)),
  ],
  [
    "a basis of 400 samples",
    "float32",
    [201, 400],
    floats(80400, (i) => Math.sin((2 * Math.PI * (i % 400) * Math.floor(i / 400)) / 400)),
  ],
  [
    "a basis within a window",
    "float32",
    [129, 256],
    floats(
      33024,
      (i) =>
        (0.5 - 0.5 * Math.cos((2 * Math.PI * (i & 255)) / 256)) *
        Math.cos((2 * Math.PI * (i & 255) * (i >> 8)) / 256),
    ),
  ],
  ["weights rounded before", "float32", [3, 3, 32, 16], bytesOf(roundedBefore(4608))],
  ["indices", "int64", [64, 64], bytesOf(BigInt64Array.from({ length: 4096 }, (_, i) => BigInt(i)))],
  [
    "a permutation",
    "int64",
    [4096],
    bytesOf(BigInt64Array.from({ length: 4096 }, (_, i) => BigInt((i * 1597) % 4096))),
  ],
  ["places", "int32", [4096], bytesOf(Int32Array.from({ length: 4096 }, () => Math.floor(1000 * next())))],
  [
    "float32 as float64",
    "float64",
    [4096],
    bytesOf(Float64Array.from({ length: 4096 }, () => Math.fround(next()))),
  ],
];
/** A table of few bytes may take so many more: lengths, and which form. */
const OVERHEAD = 16;

test.each(tables)("%s", async (_name, dtype, shape, bytes) => {
  const coded = writeLossless(bytes, dtype, shape);
  const reader = { bytes: coded, position: 0 };
  expect(Buffer.compare(await readLossless(reader, dtype, bytes.length, shape), bytes)).toBe(0);
  expect(reader.position).toBe(coded.length);
  expect(leastLossless(bytes, dtype, shape)).toBeLessThanOrEqual(coded.length);
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 };
  expect(coded.length).toBeLessThanOrEqual(brotliCompressSync(bytes, { params }).length + OVERHEAD);
});

test("floats whose last bits are noise are known to take a byte each", () => {
  const bytes = floats(8192, () => next() + next() - 1);
  expect(leastLossless(bytes, "float32", [64, 128])).toBeGreaterThan(8100);
});

test("weights that were rounded before take less than brotli makes of their integers: rows tell how large they are", async () => {
  const values = roundedBefore(18432);
  const integers = Uint8Array.from(values, (value) => Math.round((value + 1.3) / 0.01));
  const coded = writeLossless(bytesOf(values), "float32", [3, 3, 128, 16]);
  expect(coded.length).toBeLessThan(0.9 * brotliCompressSync(integers).length);
  const forged = { bytes: coded, position: 0 };
  await expect(readLossless(forged, "float32", 4 * 18432, [3, 3, 128, 15])).rejects.toThrow(
    CorruptInputError,
  );
});

test("tensors on a grid come back bit by bit, also of one code more than a byte has", async () => {
  for (let i = 0; i < 300; i++) {
    const scale = 0.001 * (1 + i / 300);
    // One pair is a step apart, and the float nearest to it may be more: the grid then seems to have 256 codes.
    const codes = [0, 1, ...Array.from({ length: 20 }, (_, k) => 3 + 2 * k + (i % 7)), 256];
    const values = codes.map((code) => Math.fround(code * scale + 0.5 + i / 100));
    const bytes = floats(368, (k) => values[(k * 7) % codes.length]);
    const coded = writeLossless(bytes, "float32", [16, 23]);
    expect(
      Buffer.compare(await readLossless({ bytes: coded, position: 0 }, "float32", 1472, [16, 23]), bytes),
    ).toBe(0);
  }
});

test("an index beyond the values, no values, or values of palettes within are refused", async () => {
  const bytes = floats(4096, () => [1, 2, 3][Math.floor(3 * next())]);
  const coded = writeLossless(bytes, "float32", [4096]);
  expect(coded.slice(0, 2)).toEqual(Uint8Array.of(255, 3));
  const read = (forged: Uint8Array) =>
    readLossless({ bytes: forged, position: 0 }, "float32", bytes.length, [4096]);
  const altered = (at: number, value: number) => coded.map((byte, i) => (i === at ? value : byte));
  await expect(read(altered(1, 0))).rejects.toThrow(CorruptInputError);
  await expect(read(altered(2, 255))).rejects.toThrow(CorruptInputError);
  // Three values as they are, then indices as they are, the last of them 3.
  const plain = Uint8Array.from([255, 3, 0, ...new Uint8Array(12), 0, ...new Uint8Array(1024)]);
  expect(await readLossless({ bytes: plain, position: 0 }, "float32", 4096, [1024])).toEqual(
    new Uint8Array(4096),
  );
  const beyond = plain.map((byte, i) => (i === plain.length - 1 ? 3 : byte));
  await expect(readLossless({ bytes: beyond, position: 0 }, "float32", 4096, [1024])).rejects.toThrow(
    CorruptInputError,
  );
});
