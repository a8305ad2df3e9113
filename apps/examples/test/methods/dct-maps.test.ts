import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as maps from "../../methods/dct-cm/dct-maps.js";

const sparse: maps.DctMapFormat = {
  channels: 8,
  scale: 1,
  order: Uint16Array.from({ length: 8 }, (_, c) => c),
  widths: new Uint8Array(8),
};
const steps = new Float32Array(8).fill(4);
const dense: maps.DctMapFormat = { ...sparse, steps, widths: new Uint8Array(8).fill(10) };

describe("a group of 8 levels", () => {
  it("without DCT is its mask and what is not zero: 24 bits for two values, exactly those back", () => {
    const levels = Uint8Array.of(5, 0, 0, 3, 0, 0, 0, 0);
    const bytes = maps.packMaps(sparse, levels);
    // An escape bit, 10010000, 00000101, 00000011.
    expect([...bytes]).toEqual([0b01001000, 0b00000010, 0b10000001, 0b10000000]);
    expect([...maps.unpackMaps(sparse, bytes, 8)]).toEqual([...levels]);
  });

  it("of zeros costs its mask alone, with DCT or without", () => {
    for (const format of [sparse, dense])
      expect(maps.packMaps(format, new Uint8Array(8 * 15)).length).toBe(16);
  });

  it("has the DCT of the worked example, to the step", () => {
    const fine: maps.DctMapFormat = {
      ...dense,
      steps: new Float32Array(8).fill(0.5),
      widths: new Uint8Array(8).fill(12),
    };
    const ramp = Uint8Array.from({ length: 8 }, (_, i) => 8 * (i + 1));
    expect([...maps.coefficientsOf(fine, ramp)]).toEqual([204, -103, 0, -11, 0, -3, 0, -1]);
    expect([...maps.coefficientsOf(fine, Uint8Array.of(5, 0, 0, 3, 0, 0, 0, 0))]).toEqual([
      6, 5, 2, 2, 6, 5, 1, -2,
    ]);
    expect([...maps.reconstructed(fine, ramp)]).toEqual([...ramp]);
  });

  it("comes back with every zero a zero, and within the DCT's error elsewhere", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (levels) => {
        levels[3] = 0;
        const read = maps.unpackMaps(dense, maps.packMaps(dense, levels), 16);
        expect([...read]).toEqual([...maps.reconstructed(dense, levels)]);
        for (const [i, level] of levels.entries()) {
          if (level === 0) expect(read[i]).toBe(0);
          // Orthonormal: the error of a group is at most that of its coefficients, half a step each, and rounding.
          else expect(Math.abs(read[i] - level)).toBeLessThanOrEqual((4 / 2) * Math.sqrt(8) + 1);
        }
      }),
    );
  });

  it("is stored as it is where packing would not shrink it", () => {
    const noise = Uint8Array.from({ length: 800 }, (_, i) => 1 + ((i * 89) % 255));
    const bytes = maps.packMaps(sparse, noise);
    expect(bytes.length).toBe(801);
    expect([...maps.unpackMaps(sparse, bytes, 800)]).toEqual([...noise]);
  });

  it("is refused where the bytes end too early", () => {
    const bytes = maps.packMaps(
      dense,
      Uint8Array.from({ length: 64 }, (_, i) => i),
    );
    expect(() => maps.unpackMaps(dense, bytes.subarray(0, bytes.length - 2), 64)).toThrow(RangeError);
  });
});

describe("the same through an entropy coder", () => {
  it("gives the same levels as the packed format", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 0, 0, 1, 7, 90, 255), { minLength: 80, maxLength: 80 }),
        (values) => {
          const levels = Uint8Array.from(values);
          for (const format of [sparse, dense]) {
            const read = maps.decodeStreams(maps.codeStreams(maps.streamsOf(format, levels)));
            expect([...maps.levelsOfStreams(format, read)]).toEqual([
              ...maps.unpackMaps(format, maps.packMaps(format, levels), 80),
            ]);
          }
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe("places of channels", () => {
  it("are filled up to whole groups, in the given order, and back", () => {
    const format: maps.DctMapFormat = { ...sparse, channels: 3, scale: 0.5, order: Uint16Array.of(2, 0, 1) };
    const levels = maps.levelsOf(format, Float32Array.of(1, 2, 3, 0, 200, 0.5));
    expect([...levels]).toEqual([6, 2, 4, 0, 0, 0, 0, 0, 1, 0, 255, 0, 0, 0, 0, 0]);
    expect([...maps.valuesOf(format, levels)]).toEqual([1, 2, 3, 0, 127.5, 0.5]);
  });

  it("put channels that are alike beside each other", () => {
    const values = new Float32Array(400);
    for (let p = 0; p < 100; p++) {
      const [a, b] = [Math.sin(p), Math.cos(3 * p)];
      values.set([a, b, a + 0.1 * b, b - 0.1 * a], 4 * p);
    }
    expect([...maps.correlationOrder(values, 4)]).toEqual([0, 2, 1, 3]);
  });
});
