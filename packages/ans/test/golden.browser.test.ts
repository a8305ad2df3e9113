/**
 * Streams as they were when the format was fixed. A change here is a breaking release. Runs in Node and in Chromium.
 */
import { xxHash32 } from "@bitdiet/stream";
import { describe, expect, it } from "vitest";
import { ansCode, compress, compressMap, decompress, decompressMap, normalizeCounts } from "../src/index.js";
import { goldenInputs } from "./golden-inputs.js";

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** Short streams in full; they are the examples of FORMAT.md. */
const golden: Record<string, string> = {
  "no symbols": "b1 00 00 ec 4b f7 a2",
  "five sevens": "b1 01 05 be 1a a6 88 07",
  "three words": "b1 08 03 2b b7 98 81 01 00 02 00 2c 01",
  "64 symbols": "b1 92 40 40 0f 08 00 af d9 93 84 80 03 cd 48 07 96 f8 cb 32",
  "a spot":
    "b1 94 80 02 10 10 01 00 01 01 02 84 99 f4 ff ff d3 ff 49 e7 ff 3f 65 fc ab ff f4 6f 1d 1b 81 13 1b e0 41 ed dc b6 6b af 39 b5",
};

/** Long streams: length, second byte (kind, width, table log), xxHash32. */
const goldenHashes: Record<string, [number, number, number]> = {
  "20,000 bytes": [5044, 162, 0xc289dcdc],
  "100,000 bytes, 256 symbols": [92405, 178, 0xd44861b6],
  "60,001 bytes in pairs": [7576, 163, 0xea951a40],
  "50,000 words, 4,096 symbols": [77282, 218, 0x9c12c073],
  "maps in one band": [384, 148, 0x53e6869e],
  "maps in four bands": [867, 148, 0x7e7adebf],
  "wide maps": [725, 156, 0x2cae6ac6],
};

describe("golden streams", () => {
  for (const [name, { symbols, shape }] of Object.entries(goldenInputs)) {
    it(`are written and read byte for byte: ${name}`, () => {
      const stream = shape === undefined ? compress(symbols) : compressMap(symbols, shape);
      if (name in golden) expect(hex(stream)).toBe(golden[name]);
      else expect([stream.length, stream[1], xxHash32(stream)]).toEqual(goldenHashes[name]);
      expect((shape === undefined ? decompress : decompressMap)(stream)).toEqual(symbols);
    });
  }

  it("have the payload that FORMAT.md walks through", () => {
    const frequencies = normalizeCounts([60, 11, 9], 3);
    expect(Array.from(frequencies)).toEqual([6, 1, 1]);
    const code = ansCode(frequencies);
    expect(hex(code.encode([0, 0, 1, 0, 2]))).toBe("50 10");
    expect(code.decode(Uint8Array.of(0x50, 0x10), 5)).toEqual(Uint8Array.of(0, 0, 1, 0, 2));
  });
});
