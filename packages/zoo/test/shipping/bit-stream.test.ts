import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bitReader, bitWriter } from "../../src/shipping/bit-stream.js";

describe("bits behind one another", () => {
  it("come back, whatever their widths", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2 ** 31 - 1), fc.integer({ min: 0, max: 32 }))), (items) => {
        const writer = bitWriter();
        for (const [value, width] of items) writer.put(value, width);
        const reader = bitReader(writer.bytes());
        for (const [value, width] of items)
          expect(reader.take(width)).toBe(width === 0 ? 0 : value % 2 ** width);
        expect(() => reader.take(8)).toThrow(RangeError);
      }),
    );
    const writer = bitWriter();
    writer.put(5, 3);
    writer.put(1, 2);
    expect([...writer.bytes()]).toEqual([0b10101000]);
  });
});
