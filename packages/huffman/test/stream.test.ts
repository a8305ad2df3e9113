import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  compress,
  compressedBits,
  countSymbols,
  decompress,
  type Symbols,
  shannonEntropy,
} from "../src/index.js";
import {
  geometric,
  headerBytes,
  middleOf,
  random,
  randomLengths,
  readPair,
  toBits,
  type Words,
  withChecksum,
  wordSymbols,
  writePair,
} from "./reference.js";

const raw = (symbols: Symbols) => Buffer.from(symbols.buffer, symbols.byteOffset, symbols.byteLength);

function check(symbols: Symbols, singleSymbols = false): Uint8Array {
  const bytes = compress(symbols, { singleSymbols });
  expect(compressedBits(symbols, { singleSymbols })).toBe(8 * bytes.length);
  const decoded = decompress(bytes);
  expect(decoded.constructor).toBe(symbols.constructor);
  expect(decoded.length).toBe(symbols.length);
  expect(raw(decoded).equals(raw(symbols))).toBe(true);
  return bytes;
}

describe("compress and decompress", () => {
  it("round-trip any symbols of any alphabet, short lengths one by one", () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.constantFrom(1, 2, 3, 5, 16, 64, 255, 256),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        fc.oneof(fc.nat(300), fc.nat(6000)),
        (seed, alphabetSize, p, n) => {
          const symbols = geometric(new Uint8Array(n), alphabetSize, p, random(seed));
          check(symbols);
          check(Uint16Array.from(symbols));
        },
      ),
      { numRuns: 300 },
    );
  });

  it("round-trip 16-bit symbols up to 65,535, sparse and dense", () => {
    const next = random(1);
    for (const alphabetSize of [257, 1000, 30_000, 65_536]) {
      for (const n of [1, 2, 50, 3000, 300_000]) {
        check(Uint16Array.from({ length: n }, () => Math.floor(next() * alphabetSize)));
        check(Uint16Array.from({ length: n }, () => (next() < 0.9 ? 0 : Math.floor(next() * alphabetSize))));
      }
    }
  });

  it("round-trip the lengths around every threshold, up to a million, at all kinds of statistics", () => {
    const next = random(2);
    for (const p of [0, 0.03, 0.4, 0.9, 0.99]) {
      for (const n of [
        255, 256, 2047, 2048, 16383, 16384, 32767, 32768, 32769, 32771, 65537, 262_145, 1_000_000,
      ]) {
        const symbols = geometric(new Uint8Array(n), 256, p, next);
        check(symbols, true);
        check(symbols);
      }
    }
  });

  it("read any part of a larger buffer", () => {
    const next = random(3);
    const large = geometric(new Uint8Array(40_000), 256, 0.97, next);
    const symbols = large.subarray(3, 39_998);
    const bytes = check(symbols);
    const padded = Uint8Array.of(1, 2, 3, ...bytes, 9, 9);
    expect(raw(decompress(padded.subarray(3, -2))).equals(raw(symbols))).toBe(true);
  });

  it("take a few bytes for no symbols, one symbol, and one symbol a million times", () => {
    expect(check(new Uint8Array(0)).length).toBe(7);
    expect(check(new Uint16Array(0)).length).toBe(7);
    expect(check(Uint8Array.of(0)).length).toBe(8);
    expect(check(Uint8Array.of(255)).length).toBeLessThanOrEqual(13);
    expect(check(Uint16Array.of(65_535)).length).toBeLessThanOrEqual(18);
    expect(check(new Uint8Array(1_000_000)).length).toBe(12);
    expect(check(new Uint8Array(1_000_000).fill(7)).length).toBeLessThanOrEqual(15);
  });

  it("pack symbols that no code makes smaller in equal bits, at 17 bytes of overhead or less", () => {
    const next = random(4);
    for (const alphabetSize of [2, 4, 16, 256]) {
      const symbols = Uint8Array.from({ length: 20_000 }, () => Math.floor(next() * alphabetSize));
      expect(check(symbols).length).toBeLessThanOrEqual((20_000 * Math.log2(alphabetSize)) / 8 + 17);
    }
  });

  it("stay within 4 % of the entropy below a bit, and within 9 % up to 6 bits, table and all", () => {
    const next = random(5);
    for (const p of [0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 0.97]) {
      const symbols = geometric(new Uint8Array(200_000), 256, p, next);
      const entropy = shannonEntropy(countSymbols(symbols));
      const bits = (8 * check(symbols).length) / symbols.length;
      expect(bits).toBeLessThan((entropy < 1 ? 1.05 : 1.04) * entropy);
    }
  });

  it("code groups of two straight from many bytes to the same bits as after cutting them into words", () => {
    const next = random(8);
    for (const n of [1_200_000, 1_200_001, 1_200_002, 1_200_003]) {
      const symbols = geometric(new Uint8Array(n), 12, 0.3, next);
      const bytes = check(symbols);
      const cut = check(Uint16Array.from(symbols));
      expect(bytes.length).toBe(cut.length);
      expect(bytes.length).toBeLessThan(0.96 * compress(symbols, { singleSymbols: true }).length);
      const start = bytes.length - (bytes.length >> 1); // well inside the streams: headers differ by checksum and width
      expect(raw(bytes.subarray(start)).equals(raw(cut.subarray(start)))).toBe(true);
      expect(raw(bytes.subarray(400, start)).equals(raw(cut.subarray(400, start)))).toBe(true);
      const kind = (toBits(bytes.subarray(2, 10)).match(/^0*1/)![0].length - 1) * 2 + 1;
      expect(Number.parseInt(toBits(bytes.subarray(2, 12)).slice(kind, kind + 5), 2)).toBe(2); // groups of two
    }
  });

  it("are never larger for having the choice of words", () => {
    const next = random(6);
    for (const p of [0.05, 0.3, 0.6]) {
      for (const n of [300, 5000, 100_000]) {
        const symbols = geometric(new Uint8Array(n), 64, p, next);
        expect(compress(symbols).length).toBeLessThanOrEqual(
          compress(symbols, { singleSymbols: true }).length,
        );
      }
    }
  });

  it("refuse arguments of another type", () => {
    expect(() => compress([1] as never)).toThrow(
      /symbols: expected a Uint8Array or a Uint16Array, got Array/,
    );
    expect(() => compress(new Uint32Array(1) as never)).toThrow(TypeError);
    expect(() => decompress("x" as never)).toThrow(/bytes: expected a Uint8Array, got String/);
    expect(() => decompress(new Uint8Array(9), { maxLength: -1 })).toThrow(RangeError);
  });
});

describe("against the reference coder", () => {
  /** What FORMAT.md says, followed to the letter. */
  function referenceDecompress(bytes: Uint8Array): { words: Words; symbols: number[] } {
    let bits = toBits(bytes.subarray(0, 20_000));
    const all = bits.length;
    const take = (n: number) => {
      const taken = bits.slice(0, n);
      bits = bits.slice(n);
      return n === 0 ? 0 : Number.parseInt(taken, 2);
    };
    const takeGamma = () => take(2 * bits.indexOf("1") + 1);
    expect(take(8)).toBe(0x48);
    expect(take(7)).toBe(1);
    take(1);
    const count = takeGamma() - 1;
    const kind = take(5);
    const words = {
      alphabetSize: takeGamma(),
      groupSize: kind < 16 ? kind : 1,
      runLimit: kind < 16 ? 0 : 2 ** (kind - 16),
    };
    const size = words.runLimit
      ? words.runLimit * (words.alphabetSize - 1) + 1
      : words.alphabetSize ** words.groupSize;
    const lengths: number[] = [];
    let last = Math.max(1, Math.ceil(Math.log2(size)));
    while (lengths.length < size) {
      let ones = 0;
      while (ones < 5 && take(1) === 1) ones++;
      if (ones === 4) lengths.push(...new Array(takeGamma()).fill(0));
      else if (ones === 3) lengths.push(...new Array(takeGamma() + 2).fill(last));
      else {
        if (ones === 5) last = take(5);
        else if (ones > 0) last += take(1) === 0 ? ones : -ones;
        lengths.push(last);
      }
    }
    const payload = bytes.subarray(Math.ceil((all - bits.length) / 8) + 4);
    if (lengths.filter((length) => length > 0).length === 1) {
      return { words, symbols: new Array(count).fill(lengths.indexOf(1)) };
    }
    const middle = middleOf(count);
    return { words, symbols: readPair(payload, middle, count - middle, Uint8Array.from(lengths), words) };
  }

  it("the reference decoder reads every kind of stream that compress writes", () => {
    const kinds = new Set<string>();
    const next = random(7);
    for (const p of [0, 0.05, 0.3, 0.5, 0.9, 0.99]) {
      for (const n of [0, 1, 10, 70, 3000, 33_000]) {
        for (const alphabetSize of [2, 16, 256]) {
          for (const symbols of [
            geometric(new Uint8Array(n), alphabetSize, p, next),
            Uint16Array.from(geometric(new Uint16Array(n), alphabetSize, p, next), (s) => 2 * s),
            Uint8Array.from({ length: n }, () => Math.floor(next() * alphabetSize)),
          ]) {
            const bytes = compress(symbols);
            const { words, symbols: decoded } = referenceDecompress(bytes);
            kinds.add(words.runLimit > 0 ? "runs" : words.groupSize > 1 ? "groups" : "single");
            expect(raw(Uint16Array.from(decoded)).equals(raw(Uint16Array.from(symbols)))).toBe(true);
          }
        }
      }
    }
    expect([...kinds].sort()).toEqual(["groups", "runs", "single"]);
  });

  it("decompress reads every stream of a grammar: any words, any complete code, any kind of table", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 0, max: 500 }), (seed, size) => {
        const next = random(seed);
        const shorts = next() < 0.3;
        const words: Words = { alphabetSize: 2 + Math.floor(next() * 30), groupSize: 1, runLimit: 0 };
        const sort = next();
        if (sort < 0.3) words.groupSize = 2 + Math.floor(next() * (shorts ? 2 : 2));
        else if (sort < 0.6) words.runLimit = 2 ** (1 + Math.floor(next() * 8));
        else if (shorts) words.alphabetSize = 2 + Math.floor(next() * 3000);
        else words.alphabetSize = 2 + Math.floor(next() * 255);
        const count = words.runLimit
          ? words.runLimit * (words.alphabetSize - 1) + 1
          : words.alphabetSize ** words.groupSize;
        const lengths = randomLengths(count, 2 + Math.floor(next() ** 3 * Math.min(count - 1, 600)), next);
        const used = [...lengths.keys()].filter((word) => lengths[word] > 0);
        const draw = () => used[Math.floor(next() * used.length)];

        // Stream A's words must fill its share exactly; B's share follows from A's.
        const stream: number[] = Array.from({ length: size }, draw);
        let symbols = stream.flatMap((word) => wordSymbols(word, words));
        let a = stream;
        let b: number[] = [];
        if (symbols.length >= 64) {
          // two streams: the second as long as the first, to the symbol
          let n = 2 * symbols.length;
          while (middleOf(n) < symbols.length) n++;
          if (middleOf(n) !== symbols.length) return; // an odd share cannot be
          a = stream;
          b = stream;
          symbols = [...symbols, ...symbols].slice(0, n);
        }
        const header = headerBytes(shorts, symbols.length, words, lengths);
        const bytes = withChecksum(header, writePair(a, b, lengths));
        expect([...decompress(bytes)]).toEqual(symbols);
      }),
      { numRuns: 300 },
    );
  });
});
