import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CorruptInputError,
  decodeBit,
  encodeBit,
  finishDecoding,
  finishEncoding,
  MIN_PROBABILITY,
  rangeDecoder,
  rangeEncoder,
} from "../src/index.js";
import { random } from "./sources.js";

type Decision = [probability: number, bit: number];

function encode(decisions: Decision[]): Uint8Array {
  const coder = rangeEncoder();
  for (const [probability, bit] of decisions) encodeBit(coder, probability, bit);
  return finishEncoding(coder);
}

/** The same interval as one exact integer of any length: no carry, no buffer, no 32 bits. */
function exactEncode(decisions: Decision[]): Uint8Array {
  let low = 0n;
  let range = 2n ** 32n - 1n;
  let shifts = 0;
  for (const [probability, bit] of decisions) {
    const bound = (range / 65536n) * BigInt(probability);
    if (bit) range = bound;
    else {
      low += bound;
      range -= bound;
    }
    while (range < 2n ** 24n) {
      low *= 256n;
      range *= 256n;
      shifts++;
    }
  }
  for (let extra = 0; ; extra++) {
    const unit = 256n ** BigInt(4 - extra);
    const point = ((low + unit - 1n) / unit) * unit;
    if (point >= low + range) continue;
    const digits = (point / unit).toString(16).padStart(2 * (shifts + extra), "0");
    return Uint8Array.from({ length: shifts + extra }, (_, i) =>
      Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
    );
  }
}

const probability = fc.oneof(
  fc.integer({ min: MIN_PROBABILITY, max: 65536 - MIN_PROBABILITY }),
  fc.constantFrom(MIN_PROBABILITY, 65536 - MIN_PROBABILITY, 32768),
);
const decisions = fc.array(fc.tuple(probability, fc.integer({ min: 0, max: 1 })) as fc.Arbitrary<Decision>, {
  maxLength: 400,
});

describe("the range coder", () => {
  it("writes the bytes of exact arithmetic on one long integer", () => {
    fc.assert(
      fc.property(decisions, (list) => {
        expect(encode(list)).toEqual(exactEncode(list));
      }),
      { numRuns: 500 },
    );
  });

  it("carries through runs of 255", () => {
    // Always the unlikely upper end, and then a step over it: the interval hugs a power of 256 from below.
    const list: Decision[] = [];
    for (let i = 0; i < 3000; i++)
      list.push([i % 7 === 6 ? 40000 : 65536 - MIN_PROBABILITY, i % 3 === 0 ? 1 : 0]);
    expect(encode(list)).toEqual(exactEncode(list));
    const zeros: Decision[] = Array.from({ length: 2000 }, (_, i) => [MIN_PROBABILITY, i === 1999 ? 1 : 0]);
    expect(encode(zeros)).toEqual(exactEncode(zeros));
  });

  it("reads back every bit and accepts the end", () => {
    fc.assert(
      fc.property(decisions, (list) => {
        const coder = rangeDecoder(encode(list));
        for (const [p, bit] of list) expect(decodeBit(coder, p)).toBe(bit);
        finishDecoding(coder);
      }),
      { numRuns: 300 },
    );
  });

  it("writes the information content and at most 0.05 % and one byte more", () => {
    const next = random(1);
    const list: Decision[] = [];
    let bits = 0;
    for (let i = 0; i < 200_000; i++) {
      const p = MIN_PROBABILITY + Math.floor(next() * (65536 - 2 * MIN_PROBABILITY));
      const bit = next() < p / 65536 ? 1 : 0;
      list.push([p, bit]);
      bits -= Math.log2((bit ? p : 65536 - p) / 65536);
    }
    const written = 8 * encode(list).length;
    expect(written).toBeGreaterThan(bits - 32);
    expect(written).toBeLessThan(1.0005 * bits + 8);
  });

  it("rejects appended bytes and a point outside of every interval", () => {
    const list: Decision[] = Array.from({ length: 100 }, (_, i) => [20000 + 300 * i, i % 3 === 0 ? 1 : 0]);
    const bytes = encode(list);
    const read = (input: Uint8Array) => {
      const coder = rangeDecoder(input);
      for (const [p] of list) decodeBit(coder, p);
      finishDecoding(coder);
    };
    expect(() => read(bytes)).not.toThrow();
    expect(() => read(Uint8Array.of(...bytes, 0))).toThrow(CorruptInputError);
    expect(() => read(Uint8Array.of(...bytes, 77))).toThrow(CorruptInputError);
    expect(() => rangeDecoder(Uint8Array.of(255, 255, 255, 255))).toThrow(CorruptInputError);
  });

  it("accepts other last bytes only where they spell other bits", () => {
    const list: Decision[] = Array.from({ length: 100 }, (_, i) => [20000 + 300 * i, i % 3 === 0 ? 1 : 0]);
    const bytes = encode(list);
    let accepted = 0;
    for (let change = 1; change < 65536; change += 7) {
      const changed = bytes.slice();
      changed[bytes.length - 1] ^= change;
      changed[bytes.length - 2] ^= change >> 8;
      const coder = rangeDecoder(changed);
      const read: Decision[] = list.map(([p]) => [p, decodeBit(coder, p)]);
      try {
        finishDecoding(coder);
      } catch {
        continue;
      }
      accepted++;
      expect(encode(read)).toEqual(changed);
      expect(read).not.toEqual(list);
    }
    expect(accepted).toBeLessThan(9000);
  });
});
