import { describe, expect, test } from "vitest";
import { xxHash32 } from "../src/index.js";

/** The sanity buffer of the reference implementation: bytes of a 64-bit multiplicative generator. */
function sanityBuffer(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const prime64 = 11400714785074694797n;
  let generator = 2654435761n;
  for (let i = 0; i < length; i++) {
    bytes[i] = Number(generator >> 56n);
    generator = (generator * prime64) & 0xffffffffffffffffn;
  }
  return bytes;
}

describe("xxHash32 equals the reference implementation's sanity values", () => {
  test.each([
    [0, 0x02cc5d05],
    [1, 0xcf65b03e],
    [14, 0x1208e7e2],
    [222, 0x5bd11dbd],
  ])("%i bytes, seed 0", (length, expected) => {
    expect(xxHash32(sanityBuffer(length))).toBe(expected);
  });

  test("seed 2654435761", () => {
    expect(xxHash32(sanityBuffer(0), 2654435761)).toBe(0x36b78ae7);
    expect(xxHash32(sanityBuffer(222), 2654435761)).toBe(0x58803c5f);
  });

  test("a known word", () => {
    expect(xxHash32(new TextEncoder().encode("abc"))).toBe(0x32d153ff);
  });

  test("an unaligned view hashes like a copy", () => {
    const bytes = sanityBuffer(101);
    expect(xxHash32(bytes.subarray(3))).toBe(xxHash32(bytes.slice(3)));
  });
});
