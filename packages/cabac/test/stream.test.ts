import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CorruptInputError, compress, decompress, estimateCompressedBits } from "../src/index.js";
import { geometric, kernels, random } from "./sources.js";

/** Either the original integers or a typed error: anything else is a silent wrong decode. */
function mustBeDetected(bytes: Uint8Array): void {
  try {
    decompress(bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(CorruptInputError);
    return;
  }
  expect.unreachable(`decoded without an error: ${bytes}`);
}

const samples = [
  compress(kernels(6, 4, 1), { rowLength: 36, kernel: [3, 3] }),
  compress(geometric(300, 0.3, 2), { rowLength: 20 }),
  compress(geometric(40, 0.99, 3)),
  compress(new Int8Array(500), { rowLength: 50 }),
  compress(new Int8Array(0)),
  compress(Int32Array.of(2 ** 31 - 1, -(2 ** 31) + 1)),
];

describe("compress and decompress", () => {
  it("return every array, for row lengths that divide it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }), { maxLength: 24 }),
        fc.integer({ min: 1, max: 4 }),
        (row, rows) => {
          const integers = Int32Array.from(Array.from({ length: rows }, () => row).flat());
          const bytes = compress(integers, row.length ? { rowLength: row.length } : {});
          expect(decompress(bytes)).toEqual(integers);
        },
      ),
    );
    expect(decompress(compress(new Int8Array(0), { kernel: [3, 3] })).length).toBe(0);
  });

  it("cost 9 bytes of header for a few weights", () => {
    expect(compress(new Int8Array(0)).length).toBe(9);
  });

  it("read a stream that lies inside of a larger buffer", () => {
    const integers = geometric(100, 0.4, 4);
    const bytes = compress(integers);
    const padded = new Uint8Array(bytes.length + 7);
    padded.set(bytes, 3);
    expect(decompress(padded.subarray(3, 3 + bytes.length))).toEqual(integers);
  });

  it("tell a wrong argument from corrupt input", () => {
    const bytes = compress(new Int8Array(100));
    expect(decompress(bytes, { maxLength: 100 }).length).toBe(100);
    expect(() => decompress(bytes, { maxLength: 99 })).toThrow(CorruptInputError);
    expect(() => decompress(bytes, { maxLength: 99 })).toThrow("100 integers claimed, maxLength is 99");
    expect(() => decompress(bytes, { maxLength: -1 })).toThrow(RangeError);
    expect(() => decompress(bytes, { maxLength: Number.NaN })).toThrow("maxLength: expected at");
    expect(() => decompress([1] as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => compress(new Int8Array(10), { rowLength: 3 })).toThrow(RangeError);
    expect(() => compress(new Float32Array(10) as unknown as Int8Array)).toThrow(TypeError);
  });
});

describe("estimateCompressedBits", () => {
  it("is the length of the stream to within 0.1 % and 64 bits, header and checksum included", () => {
    const agrees = (integers: Int32Array, shape?: { rowLength?: number; kernel?: [number, number] }) => {
      const written = 8 * compress(integers, shape).length;
      const estimated = estimateCompressedBits(integers, shape);
      expect(Math.abs(estimated - written)).toBeLessThanOrEqual(0.001 * written + 64);
    };
    agrees(kernels(64, 16, 1), { rowLength: 144, kernel: [3, 3] });
    agrees(geometric(100_000, 0.05, 2), { rowLength: 100 });
    agrees(geometric(50_000, 0.99, 3));
    agrees(new Int32Array(300_000));
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 }), { maxLength: 50 }),
        (values) => agrees(Int32Array.from(values)),
      ),
    );
  });

  it("is exact where there is only a header, and rejects what compress rejects", () => {
    expect(estimateCompressedBits(new Int8Array(0))).toBe(72);
    expect(estimateCompressedBits(new Int8Array(0), { rowLength: 1200, kernel: [3, 4] })).toBe(80);
    expect(() => estimateCompressedBits(new Int8Array(10), { rowLength: 3 })).toThrow("rowLength: expected");
    expect(() => estimateCompressedBits(new Float32Array(3) as unknown as Int8Array)).toThrow(TypeError);
  });
});

describe("decompress on hostile bytes", () => {
  it("detects every single-bit flip", () => {
    for (const bytes of samples) {
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        const flipped = bytes.slice();
        flipped[bit >> 3] ^= 1 << (bit & 7);
        mustBeDetected(flipped);
      }
    }
  });

  it("detects every truncation and every appended byte", () => {
    for (const bytes of samples) {
      for (let length = 0; length < bytes.length; length++) mustBeDetected(bytes.subarray(0, length));
      for (const extra of [0, 1, 255]) mustBeDetected(Uint8Array.of(...bytes, extra));
    }
  });

  it("detects 6,000 random mutations: bytes set, removed, inserted, swapped", () => {
    const next = random(12);
    const below = (n: number) => Math.floor(next() * n);
    for (let i = 0; i < 6000; i++) {
      const original = samples[below(samples.length)];
      let bytes = [...original];
      for (let n = 1 + below(3); n > 0; n--) {
        const at = below(bytes.length);
        const kind = below(4);
        if (kind === 0) bytes[at] = below(256);
        else if (kind === 1) bytes.splice(at, 1 + below(4));
        else if (kind === 2) bytes.splice(at, 0, below(256));
        else bytes = [...bytes.slice(at), ...bytes.slice(0, at)];
        if (bytes.length === 0) bytes = [0];
      }
      if (bytes.length === original.length && bytes.every((byte, j) => byte === original[j])) continue;
      mustBeDetected(Uint8Array.from(bytes));
    }
  });

  it("throws nothing but its own error on junk behind a valid first byte", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (junk) => mustBeDetected(Uint8Array.of(0xc1, ...junk))),
      { numRuns: 3000 },
    );
  });

  // Header: 0xC1, count, row length, kernel height, kernel width, checksum; then the payload.
  it("does not allocate or loop for a count that the bytes cannot hold", () => {
    const claim = [0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
    const start = performance.now();
    mustBeDetected(Uint8Array.of(0xc1, ...claim, ...claim, 1, 1, 0, 0, 0, 0, 5));
    mustBeDetected(Uint8Array.of(0xc1, 0x80, 0x80, 4, 1, 1, 1, 0, 0, 0, 0, 5));
    expect(performance.now() - start).toBeLessThan(500);
  });

  it("does not read zeros for ever after a truncation", () => {
    // 60,000 integers claimed, 4 bytes there: the decoder stops a few bytes after the end, not after 60,000 integers of zeros.
    mustBeDetected(Uint8Array.of(0xc1, 0xe0, 0xd4, 3, 1, 1, 1, 0, 0, 0, 0, 0x80, 1, 2, 3));
  });

  it("does not accept rows or kernels of length zero, overlong numbers, or numbers beyond 2^53", () => {
    mustBeDetected(Uint8Array.of(0xc1, 4, 0, 1, 1, 0, 0, 0, 0, 5));
    mustBeDetected(Uint8Array.of(0xc1, 4, 4, 0, 1, 0, 0, 0, 0, 5));
    mustBeDetected(Uint8Array.of(0xc1, 4, 4, 3, 1, 0, 0, 0, 0, 5));
    mustBeDetected(Uint8Array.of(0xc1, 0x84, 0, 4, 1, 1, 0, 0, 0, 0, 5));
    mustBeDetected(Uint8Array.of(0xc1, ...new Array(20).fill(0xff), 1, 1, 1, 1, 0, 0, 0, 0));
  });

  it("rejects an exp-Golomb length that no 32-bit integer has", () => {
    // A payload of nothing but the likely outcome "longer" is cut off at 31 bits.
    for (let seed = 0; seed < 300; seed++) {
      const next = random(seed);
      const payload = Uint8Array.from({ length: 40 }, () => (next() < 0.7 ? 0 : Math.floor(next() * 256)));
      mustBeDetected(Uint8Array.of(0xc1, 3, 3, 1, 1, 0, 0, 0, 0, ...payload));
    }
  });

  it("decodes all-equal weights", () => {
    for (const value of [0, 1, -1, 127, -30000]) {
      const integers = new Int32Array(5000).fill(value);
      expect(decompress(compress(integers, { rowLength: 50 }))).toEqual(integers);
    }
  });
});
