import { describe, expect, test } from "vitest";
import { normal, uniform } from "../../src/data/random.js";
import { learnRowCoder } from "../../src/shipping/rows.js";
import {
  codeWeights,
  decodeFloats,
  decodeLevels,
  lnStepAt,
  stepNumber,
  toBfloat16,
} from "../../src/shipping/weights.js";

const gaussian = normal(uniform(1));
const levelsOf = (count: number, deviation: number, high: number) =>
  Int32Array.from({ length: count }, () =>
    Math.max(-high, Math.min(high, Math.round(deviation * gaussian()))),
  );

describe("weights as bytes", () => {
  test("come back exactly, with their steps and floats, and every byte is counted", () => {
    const weights = [
      { name: "dense", levels: levelsOf(128 * 64, 1.2, 7), rowLength: 64, bits: 4 },
      { name: "sparse", levels: levelsOf(64 * 64, 0.3, 7), rowLength: 64, bits: 4 },
      { name: "one", levels: Int32Array.of(3), rowLength: 1, bits: 8 },
    ];
    const steps = levelsOf(300, 20, 1000);
    const floats = [Float32Array.of(1, -0.125), Float32Array.of(0.1)];
    const coded = codeWeights(weights, steps, floats);
    for (const [i, { bytes }] of coded.weights.entries())
      expect(decodeLevels(bytes)).toEqual(weights[i].levels);
    expect(decodeLevels(coded.stepBytes)).toEqual(steps);
    expect([...decodeFloats(coded.floatBytes)]).toEqual([1, -0.125, 0.10009765625]);
    const streams = [...coded.weights.map(({ bytes }) => bytes), coded.stepBytes, coded.floatBytes];
    expect(coded.weightBytes).toBe(streams.reduce((sum, { length }) => sum + length, 0));
    expect(coded.floatBytes.length).toBe(6);
    // Order-0 entropy is what independent levels take; brotli over nibbles cannot get there.
    const written = coded.weights.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const ideal = coded.weights.reduce(
      (sum, { levelEntropy, values }) => sum + (levelEntropy * values) / 8,
      0,
    );
    expect(written / ideal).toBeLessThan(1.03);
    expect(coded.packedBrotliBytes).toBeGreaterThan(coded.weightBytes);
  });

  test("have steps within 2.2 % of any, by number", () => {
    for (const step of [1e-6, 0.0123, 1, 37]) {
      const onGrid = Math.exp(lnStepAt(stepNumber(Math.log(step))));
      expect(Math.abs(onGrid / step - 1)).toBeLessThan(0.0222);
    }
    expect(lnStepAt(16)).toBe(Math.LN2);
  });

  test("round floats to the nearest bfloat16, ties to even", () => {
    const unit = 2 ** -7;
    const values = Float32Array.of(0, -0, 1 + unit / 2, 1 + (3 * unit) / 2, 1 + 0.51 * unit, -Math.PI);
    expect([...toBfloat16(values)]).toEqual([0, -0, 1, 1 + 2 * unit, 1 + unit, -3.140625]);
  });
});

describe("activation rows as bytes", () => {
  // Channel 0 is wide, the others narrow: one table for all would cost more than two.
  const rows = (count: number) =>
    Uint8Array.from({ length: count * 16 }, (_, i) => {
      const level = Math.round((i % 16 === 0 ? 3 : 0.4) * gaussian());
      return 7 + Math.max(-7, Math.min(7, level));
    });

  test("come back exactly, and cost less than the order-0 entropy where channels differ", () => {
    const coder = learnRowCoder("x", rows(500), 16, 15);
    const symbols = rows(2000);
    expect(coder.pass(symbols)).toEqual(symbols);
    expect(coder.pass(symbols.subarray(0, 16))).toEqual(symbols.subarray(0, 16));
    const { values, counts, levelEntropy, payloadBytes, tableBytes } = coder.total();
    expect(values).toBe(2001 * 16);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(values);
    expect((8 * (payloadBytes + tableBytes)) / values).toBeLessThan(0.95 * levelEntropy);
  });

  test("may hold levels that training never showed", () => {
    const coder = learnRowCoder("x", new Uint8Array(64), 2, 15);
    const symbols = Uint8Array.from({ length: 30 }, (_, i) => i >> 1);
    expect(coder.pass(symbols)).toEqual(symbols);
  });
});
