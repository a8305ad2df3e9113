/** The same bytes in Node and in a browser; a change here is a breaking release. */
import { describe, expect, it } from "vitest";
import { compress, decodeWeights, decompress, encodeWeights, estimateBits } from "../src/index.js";
import { GOLDEN } from "./golden.js";
import { geometric, kernels } from "./sources.js";

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

export const inputs: Record<
  string,
  () => { integers: Int32Array; rowLength: number; kernel: [number, number] }
> = {
  example: () => ({ integers: Int32Array.of(0, 1, -1, 0, 0, 2, -3, 0), rowLength: 4, kernel: [1, 1] }),
  empty: () => ({ integers: new Int32Array(0), rowLength: 1, kernel: [1, 1] }),
  extremes: () => ({
    integers: Int32Array.of(2 ** 31 - 1, -(2 ** 31) + 1, 0, 1023, -1024, 10, -9, 1),
    rowLength: 8,
    kernel: [1, 1],
  }),
  kernels: () => ({ integers: kernels(6, 4, 21), rowLength: 36, kernel: [3, 3] }),
  rows: () => ({ integers: geometric(400, 0.4, 22), rowLength: 20, kernel: [1, 1] }),
  wide: () => ({ integers: geometric(150, 0.97, 23), rowLength: 50, kernel: [5, 5] }),
};

describe("exact bytes", () => {
  for (const [name, make] of Object.entries(inputs)) {
    it(`of ${name} stay what they were`, () => {
      const { integers, rowLength, kernel } = make();
      const bytes = compress(integers, { rowLength, kernel });
      expect(hex(bytes)).toBe(GOLDEN[name]);
      expect(decompress(bytes)).toEqual(integers);
    });
  }

  it("of 50,000 weights have the checksum that they had", () => {
    const integers = kernels(64, 87, 24);
    const shape = { rowLength: 783, kernel: [3, 3] as const };
    const payload = encodeWeights(integers, shape);
    let sum = 0;
    for (const byte of payload) sum = (Math.imul(sum, 31) + byte) >>> 0;
    expect(`${payload.length} ${sum.toString(16)}`).toBe(GOLDEN.long);
    expect(decodeWeights(payload, integers.length, shape)).toEqual(integers);
    expect(estimateBits(integers, shape) / 8 / payload.length).toBeCloseTo(1, 3);
  });
});
