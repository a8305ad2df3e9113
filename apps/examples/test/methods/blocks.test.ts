import { codingGain } from "@bitdiet/dct-transform";
import { arrived, written } from "@bitdiet/zoo/shipping/ship";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import {
  type BlockGrid,
  bestGrid,
  blockDistortion,
  blockIntegers,
  blockValues,
  packBlocks,
  type StoredBlock,
  storedBlock,
  unpackBlocks,
} from "../../methods/transform-quantization/blocks.js";
import {
  type FactoredFilter,
  factorIntegers,
  factorTensors,
  filtersOf,
  gridsAtSlope,
  proxyCurves,
  trainableFilters,
} from "../../methods/transform-quantization/factored-network.js";
import {
  elt,
  factorize,
  klt,
  multiply,
  none,
  toFilter,
  toVectors,
  vectorsOf,
} from "../../methods/transform-quantization/transformed-weights.js";

beforeAll(() => useBackend("cpu"));

const noise = (length: number, seed = 1) =>
  Float32Array.from({ length }, (_, i) => Math.sin(12.9898 * (i + 1) * seed) + 0.3 * Math.sin(78.233 * i));

describe("a block of weights", () => {
  it("is quantized as in the worked example: step 0.5, 2 bits", () => {
    const grid = { bits: 2, exponent: -4 };
    const values = Float32Array.of(-0.9, -0.3, 0.1, 0.4, 1.2);
    expect([...blockValues(blockIntegers(values, grid), grid)]).toEqual([-1, -0.5, 0, 0.5, 0.5]);
    expect([...blockIntegers(values, { bits: 0, exponent: 0 })]).toEqual([0, 0, 0, 0, 0]);
  });

  it("gets the step of least cost, at least as good as any other on the grid", () => {
    const block = { values: noise(200), curvature: noise(200, 2).map((x) => x * x) };
    for (const bits of [1, 2, 3, 5, 8]) {
      const { grid, distortion } = bestGrid(block, bits);
      for (let exponent = -40; exponent <= 12; exponent++)
        expect(distortion).toBeLessThanOrEqual(blockDistortion(block, { bits, exponent }) * (1 + 1e-9));
      expect(blockDistortion(block, grid)).toBe(distortion);
    }
    const off = bestGrid(block, 0).distortion;
    expect(off).toBeCloseTo(
      block.values.reduce((sum, v, i) => sum + block.curvature[i] * v * v, 0),
      4,
    );
  });

  it("comes back from packed bytes, 0 bits included", () => {
    const grids: BlockGrid[] = [0, 3, 1, 8, 3].map((bits, b) => ({ bits, exponent: b - 9 }));
    const blocks = grids.map((grid, b) => storedBlock(noise(40 + b, b + 1), grid));
    const sizes = [40, 41, 42, 43, 44];
    const plain = (all: StoredBlock[]) =>
      all.map(({ grid, integers }) => [grid.bits, grid.bits && grid.exponent, ...integers]);
    const packed = packBlocks(blocks);
    expect(packed.length).toBe(Math.ceil((5 * 4 + 4 * 8 + 41 * 3 + 42 + 43 * 8 + 44 * 3) / 8));
    expect(plain(unpackBlocks(packed, 5, () => sizes))).toEqual(plain(blocks));
    expect(() => unpackBlocks(packed.subarray(0, 20), 5, () => sizes)).toThrow(RangeError);
  });
});

describe("a filter as coefficients times a basis", () => {
  const shapes = [
    [3, 3, 4, 6],
    [3, 3, 6, 4],
    [5, 3],
  ];

  it("has its vectors along the axis of fewer channels, and back", () => {
    expect(vectorsOf([3, 3, 16, 32])).toEqual({ axis: "input", size: 16, others: 32, count: 288 });
    expect(vectorsOf([64, 10])).toEqual({ axis: "output", size: 10, others: 64, count: 64 });
    const vectors = vectorsOf([1, 1, 2, 3]);
    const filter = Float32Array.of(1, 2, 3, 4, 5, 6); // input 0: 1 2 3, input 1: 4 5 6
    expect([...toVectors(filter, vectors)]).toEqual([1, 4, 2, 5, 3, 6]);
    expect([...toFilter(toVectors(filter, vectors), vectors)]).toEqual([...filter]);
  });

  it("is its factors' product, for no transform, the KLT and the ELT", () => {
    for (const shape of shapes) {
      const size = shape.reduce((a, b) => a * b);
      const vectors = vectorsOf(shape);
      const filter = toVectors(noise(size), vectors);
      const draws = [1, 2, 3, 4, 5, 6, 7].map((seed) => noise(size, seed + 5));
      for (const transform of [none, klt, elt]) {
        const { factors } = factorize(filter, draws, vectors, transform);
        for (const [i, value] of multiply(factors, vectors).entries())
          expect(value).toBeCloseTo(filter[i], 4);
      }
    }
  });

  it("has the worked example's gains: KLT 1.033, ELT 1.206", () => {
    const ct = Float64Array.of(2, 1, 1, 2);
    const cg = Float64Array.of(1, 0.5, 0.5, 3);
    expect(codingGain(klt(ct, cg, 2)!, ct, cg)).toBeCloseTo(1.032796, 4);
    // The authors' damping of Cg by 0.001 of its norm moves the last digits.
    expect(codingGain(elt(ct, cg, 2)!, ct, cg)).toBeCloseTo(1.206045, 3);
  });

  it("costs at the outputs what both factors' curvatures say", () => {
    const vectors = vectorsOf([1, 1, 2, 3]);
    const filter = noise(6);
    const draws = [noise(6, 3)];
    const { factors, curvature } = factorize(filter, draws, vectors, klt);
    const output = (v: Float32Array) => v.reduce((sum, value, i) => sum + value * draws[0][i], 0);
    const error = 1e-2;
    for (const factor of ["coefficients", "basis"] as const) {
      for (let i = 0; i < factors[factor]!.length; i++) {
        const moved = { ...factors, [factor]: factors[factor]!.map((v, j) => (j === i ? v + error : v)) };
        const difference = output(multiply(moved, vectors)) - output(multiply(factors, vectors));
        expect(difference ** 2 / error ** 2).toBeCloseTo(curvature[factor]![i], 2);
      }
    }
  });
});

describe("a factored network", () => {
  const shape = [3, 3, 8, 12];
  const vectors = vectorsOf(shape);
  const size = 3 * 3 * 8 * 12;
  const filter: FactoredFilter = {
    name: "conv.weight",
    shape,
    vectors,
    components: 2,
    ...factorize(toVectors(noise(size), vectors), [noise(size, 2), noise(size, 3)], vectors, klt),
  };
  const curves = proxyCurves([filter]);

  it("gets no bits at a steep slope, all at none, and a pair is left out as a whole", () => {
    const [none] = gridsAtSlope([filter], curves, 1e6);
    expect(none.every(({ coefficients, basis }) => coefficients.bits === 0 && basis!.bits === 0)).toBe(true);
    const [all] = gridsAtSlope([filter], curves, 0);
    expect(all.every(({ coefficients, basis }) => coefficients.bits >= 7 && basis!.bits >= 7)).toBe(true);
    for (const slope of [1e-4, 1e-2, 1, 10]) {
      for (const { coefficients, basis } of gridsAtSlope([filter], curves, slope)[0])
        expect(coefficients.bits === 0).toBe(basis!.bits === 0);
    }
  });

  it("comes back from a file as the network that trains has it", async () => {
    const grids = gridsAtSlope([filter], curves, 1e-3);
    const before = tf.memory().numTensors;
    const { parameters } = await arrived(written(factorIntegers([filter], grids), []).file);
    const restored = filtersOf([filter], parameters);
    const factors = factorTensors([filter]);
    const trained = tf.tidy(() => trainableFilters([filter], grids, factors)["conv.weight"].dataSync());
    const values = restored["conv.weight"].dataSync();
    let worst = 0;
    for (const [i, value] of values.entries()) worst = Math.max(worst, Math.abs(value - trained[i]));
    expect(worst).toBeLessThan(1e-5);
    tf.dispose([restored, factors, parameters]);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("has blocks of 0 bits as rows of step 0, which take no bits", () => {
    const grids = gridsAtSlope([filter], curves, 1e-1);
    const { steps, integers } = factorIntegers([filter], grids).get("conv.weight.coefficients")!;
    const bits = grids[0].flatMap(({ coefficients }) => [coefficients.bits, coefficients.bits]);
    expect(bits.some((width) => width === 0) && bits.some((width) => width > 0)).toBe(true);
    expect([...steps].map((step) => step > 0)).toEqual(bits.map((width) => width > 0));
    expect(integers.length).toBe(8 * 108);
  });
});
