import { constants, deflateRawSync, inflateRawSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { packedCodes } from "../src/canonical.js";
import { codeLengths, compress, countSymbols } from "../src/index.js";
import { geometric, random, referenceCodes } from "./reference.js";

/** Codes as zlib must read them, if ours are DEFLATE's: our numbers, top bits first. */
function ourCodes(lengths: Uint8Array): string[] {
  return Array.from(packedCodes(lengths), (code, word) =>
    code.toString(2).padStart(32, "0").slice(0, lengths[word]),
  );
}

/** RFC 1951 3.2.7: a whole DEFLATE stream, one dynamic block of literals, coded with our lengths and our codes. */
function deflateWithOurCode(literals: Uint8Array): Uint8Array {
  const counts = countSymbols(Uint16Array.from([...literals, 256]), 257);
  const lengths = codeLengths(counts, 15);
  const codes = ourCodes(lengths);
  // 257 literal/length codes and one unused distance code, each length sent by itself
  const sent = Uint8Array.from([...lengths, 1]);
  const lengthLengths = codeLengths(countSymbols(sent, 19), 7);
  const lengthCodes = ourCodes(lengthLengths);
  const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
  // numbers go least significant bit first, codes most significant bit first
  const number = (value: number, bits: number) =>
    [...value.toString(2).padStart(bits, "0")].reverse().join("");
  let bits = number(1, 1) + number(2, 2) + number(0, 5) + number(0, 5) + number(15, 4);
  for (const symbol of order) bits += number(lengthLengths[symbol], 3);
  for (const length of sent) bits += lengthCodes[length];
  const body = [bits, ...Array.from(literals, (literal) => codes[literal]), codes[256]].join("");
  return Uint8Array.from({ length: Math.ceil(body.length / 8) }, (_, i) =>
    Number.parseInt([...body.slice(8 * i, 8 * i + 8)].reverse().join(""), 2),
  );
}

describe("against DEFLATE and node:zlib", () => {
  it("zlib inflates a block that is coded with our lengths and our canonical codes", () => {
    const next = random(5);
    for (const p of [0.3, 0.8, 0.97]) {
      const literals = geometric(new Uint8Array(5000), 256, p, next);
      expect([...inflateRawSync(deflateWithOurCode(literals))]).toEqual([...literals]);
    }
  });

  it("gives the codes of RFC 1951's own example", () => {
    const lengths = Uint8Array.of(3, 3, 3, 3, 3, 2, 4, 4);
    const expected = ["010", "011", "100", "101", "110", "00", "1110", "1111"];
    expect(ourCodes(lengths)).toEqual(expected);
    expect(referenceCodes(lengths)).toEqual(expected);
  });

  it("is never more than 1 % and 64 bytes larger than zlib's HUFFMAN_ONLY", () => {
    const next = random(6);
    for (const p of [0.1, 0.5, 0.9, 0.98]) {
      for (const n of [100, 10_000, 100_000]) {
        const symbols = geometric(new Uint8Array(n), 256, p, next);
        const zlib = deflateRawSync(symbols, { strategy: constants.Z_HUFFMAN_ONLY }).length;
        expect(compress(symbols).length).toBeLessThan(1.01 * zlib + 64);
        expect(compress(symbols, { singleSymbols: true }).length).toBeLessThan(1.01 * zlib + 64);
      }
    }
  });
});
