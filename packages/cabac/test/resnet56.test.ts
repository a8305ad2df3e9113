/**
 * The figures of the README on real weights: ResNet-56 for CIFAR-10, 848,944 weights in 56 tensors (convolutions in OIHW and
 * the last layer), quantized symmetrically with each tensor's largest magnitude at the end of the scale.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import {
  compress,
  decompress,
  encodeWeights,
  estimateCompressedBits,
  type WeightShape,
  weightContexts,
} from "../src/index.js";
import { entropy } from "./sources.js";

const data = process.env.BITDIET_DATA ?? join(import.meta.dirname, "../../../../shared/data");
const path = join(data, "models/resnet56-cifar10.safetensors");
if (!existsSync(path))
  console.warn(`The test on ResNet-56's weights is skipped: no ${path} (set BITDIET_DATA).`);

interface Tensor {
  integers: Int8Array;
  shape: WeightShape;
}

/** Integers -most .. most. */
function tensors(most: number): Tensor[] {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, start));
  return Object.values(header as Record<string, { shape?: number[]; data_offsets: [number, number] }>)
    .filter(({ shape }) => shape && shape.length > 1)
    .map(({ shape, data_offsets: [from, to] }) => {
      const [rows, , height = 1, width = 1] = shape!;
      const weights = new Float32Array(
        file.buffer.slice(file.byteOffset + start + from, file.byteOffset + start + to),
      );
      const step = weights.reduce((max, weight) => Math.max(max, Math.abs(weight)), 0) / most;
      const integers = Int8Array.from(weights, (weight) => Math.floor(weight / step + 0.5));
      return { integers, shape: { rowLength: integers.length / rows, kernel: [height, width] } };
    });
}

describe.skipIf(!existsSync(path))("ResNet-56's weights, each tensor a stream of its own", () => {
  it.each([
    { bits: 8, most: 127, order0: 6.247, ours: 5.831, carried: 5.789, noKernel: 6.071 },
    { bits: 5, most: 15, order0: 3.208, ours: 2.794, carried: 2.774, noKernel: 3.053, deepCabac: 3.025 },
    { bits: 4, most: 7, order0: 2.156, ours: 1.837, carried: 1.823, noKernel: 2.03, deepCabac: 1.986 },
    { bits: 3, most: 3, order0: 1.075, ours: 0.921, carried: 0.91, noKernel: 1.005 },
  ])("take $ours bits each at $bits bits, header and checksum counted", (figures) => {
    const { most, order0, ours, carried, noKernel, deepCabac = Infinity } = figures;
    const contexts = weightContexts();
    const all: number[] = [];
    const bytes = { ours: 0, estimated: 0, carried: 0, noKernel: 0 };
    for (const { integers, shape } of tensors(most)) {
      const stream = compress(integers, shape);
      expect(decompress(stream).every((integer, i) => integer === integers[i])).toBe(true);
      bytes.ours += stream.length;
      bytes.estimated += estimateCompressedBits(integers, shape) / 8;
      bytes.carried += encodeWeights(integers, shape, contexts).length;
      bytes.noKernel += compress(integers, { rowLength: shape.rowLength }).length;
      for (const integer of integers) all.push(integer);
    }
    expect(all.length).toBe(848_944);
    expect(entropy(Int32Array.from(all))).toBeCloseTo(order0, 3);
    expect((8 * bytes.ours) / all.length).toBeCloseTo(ours, 3);
    expect((8 * bytes.carried) / all.length).toBeCloseTo(carried, 3);
    expect((8 * bytes.noKernel) / all.length).toBeCloseTo(noKernel, 3);
    expect(Math.abs(bytes.estimated / bytes.ours - 1)).toBeLessThan(0.001);
    expect(ours).toBeLessThan(deepCabac);
  });

  it("take less than brotli at 4 bits, on bytes and on pairs packed into bytes", () => {
    const all = tensors(7).flatMap(({ integers }) => [...integers]);
    const packed = new Uint8Array(all.length / 2);
    all.forEach((integer, i) => {
      packed[i >> 1] |= (integer & 15) << (4 * (i & 1));
    });
    // Another version of brotli may differ in the third digit.
    expect(Math.abs((8 * brotliCompressSync(Int8Array.from(all)).length) / all.length - 2.052)).toBeLessThan(
      0.01,
    );
    expect(Math.abs((8 * brotliCompressSync(packed).length) / all.length - 1.976)).toBeLessThan(0.01);
  }, 60_000);
});
