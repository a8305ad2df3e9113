/**
 * Inputs of the golden streams, from integer arithmetic alone so that they are the same on every engine. FORMAT.md
 * describes the first five; the others are long ones that go through every path, by length and hash of their stream.
 */
import type { MapShape } from "../src/index.js";

interface Input {
  symbols: Uint8Array | Uint16Array;
  shape?: MapShape;
}

/** A linear congruential generator's upper 16 bits. */
function integers(count: number, seed: number): Uint16Array {
  let state = seed;
  return Uint16Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 16;
  });
}

/** Number of leading zeros of a random word: geometric with p = 1/2. */
const halving = (count: number, seed: number): Uint8Array =>
  Uint8Array.from(integers(count, seed), (word) => Math.clz32(word | 1) - 16);

/** Discs of height 1 .. 15 on zeros. */
function discs(height: number, width: number, channels: number): Uint8Array {
  const symbols = new Uint8Array(height * width * channels);
  const places = integers(3 * channels * 6, 99);
  for (let i = 0; i < symbols.length; i++) {
    const channel = i % channels;
    const x = Math.floor(i / channels) % width;
    const y = Math.floor(i / (channels * width));
    for (let disc = 0; disc < 6; disc++) {
      const [px, py, radius] = places.subarray(3 * (6 * channel + disc));
      const distance = (x - (px % width)) ** 2 + (y - (py % height)) ** 2;
      const reach = 4 + (radius % 60);
      if (distance < reach) symbols[i] = 1 + Math.floor((14 * (reach - distance)) / reach);
    }
  }
  return symbols;
}

const spot = Uint8Array.from({ length: 256 }, (_, i) =>
  ((i & 15) - 8) ** 2 + ((i >> 4) - 7) ** 2 < 20 ? 3 : 0,
);
const repeated = halving(30_001, 4);

export const goldenInputs: Record<string, Input> = {
  "no symbols": { symbols: new Uint8Array(0) },
  "five sevens": { symbols: Uint8Array.of(7, 7, 7, 7, 7) },
  "three words": { symbols: Uint16Array.of(1, 2, 300) },
  "64 symbols": {
    symbols: Uint8Array.from({ length: 64 }, (_, i) => (i % 8 === 3 ? 1 : i % 16 === 7 ? 2 : 0)),
  },
  "a spot": { symbols: spot, shape: { height: 16, width: 16, channels: 1 } },
  "20,000 bytes": { symbols: halving(20_000, 1) },
  "100,000 bytes, 256 symbols": {
    symbols: Uint8Array.from(integers(100_000, 2), (word) => (word * (word & 255)) >>> 16),
  },
  "60,001 bytes in pairs": { symbols: Uint8Array.from({ length: 60_001 }, (_, i) => repeated[i >> 1]) },
  "50,000 words, 4,096 symbols": {
    symbols: Uint16Array.from(integers(50_000, 3), (word) => 16 * ((word * (word & 4095)) >>> 16)),
  },
  "maps in one band": { symbols: discs(60, 40, 1), shape: { height: 60, width: 40, channels: 1 } },
  "maps in four bands": { symbols: discs(90, 31, 3), shape: { height: 45, width: 31, channels: 3 } },
  "wide maps": {
    symbols: Uint16Array.from(discs(70, 20, 2), (s) => 40_000 - 900 * s),
    shape: { height: 70, width: 20, channels: 2 },
  },
};
