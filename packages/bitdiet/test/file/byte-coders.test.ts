import { brotliCompressSync, constants } from "node:zlib";
import { encodeBit, finishEncoding, rangeEncoder } from "@bitdiet/cabac";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { unpackBytes } from "../../src/file/byte-coders.js";
import { CorruptInputError } from "../../src/file/errors.js";
import { decodeLz } from "../../src/file/lz.js";
import { classOf, extraBits, lowest } from "../../src/file/lz-classes.js";
import { lzModel } from "../../src/file/lz-model.js";
import { packBytes } from "../../src/file/pack-bytes.js";
import { writeLossless } from "../../src/file/write-lossless.js";
import { encodeLz } from "../../src/file/write-lz.js";
import type { Dtype } from "../../src/model.js";
import { bytesOf, random } from "../samples.js";

const utf8 = (text: string) => new TextEncoder().encode(text);

/** A topology as TF.js writes it: many layers that differ in names and numbers. */
const topology = (layers: number): Uint8Array =>
  utf8(
    JSON.stringify(
      Array.from({ length: layers }, (_, i) => ({
        class_name: i % 3 === 0 ? "Conv2D" : "BatchNormalization",
        config: { name: `block_${i}_conv`, filters: 8 * (i % 17), trainable: true, axis: [i % 4] },
        inbound_nodes: [[[`block_${i - 1}_conv`, 0, 0, {}]]],
      })),
    ),
  );

/** Bytes with stretches of earlier ones in them, and runs. */
const repetitive = fc
  .array(
    fc.oneof(
      fc.record({ literal: fc.uint8Array({ minLength: 1, maxLength: 40 }) }),
      fc.record({ back: fc.nat(300), length: fc.integer({ min: 1, max: 600 }) }),
    ),
    { minLength: 1, maxLength: 40 },
  )
  .map((pieces) => {
    const bytes: number[] = [];
    for (const piece of pieces) {
      if ("literal" in piece) bytes.push(...piece.literal);
      else for (let i = 0; i < piece.length; i++) bytes.push(bytes.at(-1 - piece.back) ?? 7);
    }
    return Uint8Array.from(bytes);
  });

describe("lz", () => {
  test("gives back bytes of any kind", () => {
    fc.assert(
      fc.property(fc.oneof(repetitive, fc.uint8Array({ minLength: 16, maxLength: 3000 })), (bytes) => {
        const coded = encodeLz(bytes);
        if (coded) expect(decodeLz(coded, bytes.length)).toEqual(bytes);
        else expect(bytes.length).toBeLessThan(16);
      }),
      { numRuns: 200 },
    );
  });

  test("gives back bytes of several blocks, with matches over all of them", () => {
    const bytes = topology(1500);
    expect(bytes.length).toBeGreaterThan(1.5 * 2 ** 17);
    expect(decodeLz(encodeLz(bytes) as Uint8Array, bytes.length)).toEqual(bytes);
  });

  test("takes 300,000 bytes that come again and again in some dozens", () => {
    const bytes = new Uint8Array(3e5).map((_, i) => mix(i % 7));
    const coded = encodeLz(bytes) as Uint8Array;
    expect(coded.length).toBeLessThan(90);
    expect(decodeLz(coded, bytes.length)).toEqual(bytes);
  });

  test("refuses altered bytes, or gives others of the same length", () => {
    const bytes = topology(40);
    const coded = encodeLz(bytes) as Uint8Array;
    const next = random(3);
    for (let i = 0; i < 2000; i++) {
      const altered = coded.slice(0, coded.length - (i % 7 === 0 ? Math.floor(20 * next()) : 0));
      altered[Math.floor(altered.length * next())] ^= 1 << Math.floor(8 * next());
      try {
        expect(decodeLz(altered, bytes.length).length).toBe(bytes.length);
      } catch (error) {
        expect((error as Error).name).toBe("CorruptInputError");
      }
    }
    expect(() => decodeLz(coded, bytes.length + 1)).toThrow(CorruptInputError);
    expect(() => decodeLz(Uint8Array.of(...coded, 0), bytes.length)).toThrow(CorruptInputError);
  });

  test("refuses bytes that stand for more literals than they may", () => {
    const size = 1e5;
    const bytes = new Uint8Array(size);
    const coder = rangeEncoder();
    const model = lzModel(0, bytes, (probability, bit) => {
      encodeBit(coder, probability, bit);
      return bit;
    });
    for (let at = 0; at < size; at++) {
      model.isMatch(at, 0);
      model.literal(at, 0);
    }
    const coded = Uint8Array.of(0, ...finishEncoding(coder));
    expect(coded.length).toBeLessThan(size / 64);
    expect(() => decodeLz(coded, size)).toThrow(CorruptInputError);
    expect(() => decodeLz(Uint8Array.of(4, ...coded.subarray(1)), size)).toThrow(CorruptInputError);
  });

  test("classes and low bits are numbers", () => {
    for (let value = 0; value < 2 ** 31; value = Math.floor(value * 1.1) + 1) {
      const kind = classOf(value);
      expect(kind < 16 ? kind : lowest(kind) + (value & (2 ** extraBits(kind) - 1))).toBe(value);
      expect(kind).toBeLessThan(70);
    }
  });
});

describe("packBytes(bytes)", () => {
  test("comes back, whichever coder is the smallest", () => {
    const coders = new Set<number>();
    const next = random(1);
    const skewed = Uint8Array.from({ length: 70_000 }, () => 8 * next() * next() * next());
    for (const bytes of [
      new Uint8Array(0),
      utf8("x"),
      skewed,
      topology(30),
      topology(1000),
      new Uint8Array(99),
    ]) {
      const { coder, bytes: packed } = packBytes(bytes);
      coders.add(coder);
      expect(unpackBytes(coder, packed, bytes.length)).toEqual(bytes);
    }
    expect([...coders].sort()).toEqual([0, 1, 2]);
  });

  test("refuses coders that there are not, and bytes for none", () => {
    expect(() => unpackBytes(3, new Uint8Array(3), 3)).toThrow(CorruptInputError);
    for (const coder of [0, 1, 2])
      expect(() => unpackBytes(coder, new Uint8Array(3), 0)).toThrow(CorruptInputError);
  });
});

const brotli = (bytes: Uint8Array): number =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
const floats = (length: number, value: (i: number) => number) =>
  bytesOf(Float32Array.from({ length }, (_, i) => value(i)));
const longs = (length: number, value: (i: number) => number) =>
  bytesOf(BigInt64Array.from({ length }, (_, i) => BigInt(value(i))));
const mix = (i: number) => Math.imul(i + 1, 0x9e3779b1) >>> 16;

describe("tensors that are no weights take little more than brotli at its best, or less:", () => {
  test.each<[string, Dtype, number[], Uint8Array, number]>([
    ["an index", "int64", [4096], longs(4096, (i) => i), 0.05],
    ["a table of indices", "int64", [64, 64], longs(4096, (i) => (i >> 6) * 7 + (i & 63) * 3), 0.3],
    ["one value", "float32", [10_000], floats(10_000, () => 0.1), 1.5],
    ["two values", "float32", [10_000], floats(10_000, (i) => (mix(i) % 5 ? 0 : -1e9)), 1.5],
    ["a triangular mask", "float32", [128, 128], floats(16_384, (i) => (i >> 7 < (i & 127) ? -1e9 : 0)), 1.6],
    ["whole numbers", "float32", [10_000], floats(10_000, (i) => mix(i) & 255), 1],
    [
      "a grid of pixels",
      "float32",
      [10_000, 2],
      floats(20_000, (i) => 8 * ((i & 1 ? i / 200 : (i >> 1) % 100) | 0) + 4),
      0.3,
    ],
    ["a window", "float32", [4096], floats(4096, (i) => 0.5 - 0.5 * Math.cos((Math.PI * i) / 2048)), 0.8],
  ])("%s", (_, dtype, shape, bytes, most) => {
    expect(writeLossless(bytes, dtype, shape).length).toBeLessThan(most * brotli(bytes) + 8);
  });
});
