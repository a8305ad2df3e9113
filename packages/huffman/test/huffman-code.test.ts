import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CorruptInputError,
  codeLengths,
  countSymbols,
  decodeTable,
  encodeTable,
  groupCode,
  type HuffmanCode,
  huffmanCode,
  learnCode,
  runCode,
  type Symbols,
  shannonEntropy,
} from "../src/index.js";
import { geometric, middleOf, random, randomLengths, readPair } from "./reference.js";

const equal = (a: Symbols, b: Symbols) =>
  a.length === b.length &&
  Buffer.compare(
    Buffer.from(a.buffer, a.byteOffset, a.byteLength),
    Buffer.from(b.buffer, b.byteOffset, b.byteLength),
  ) === 0;

/** Round trip, estimate, table and the reference decoder, of one code and some symbols. */
function check(code: HuffmanCode, symbols: Symbols): void {
  const bytes = code.encode(symbols);
  const decoded = code.decode(bytes, symbols.length);
  const wide = code.alphabetSize > 256;
  expect(decoded).toBeInstanceOf(wide ? Uint16Array : Uint8Array);
  expect(equal(decoded, wide ? Uint16Array.from(symbols) : Uint8Array.from(symbols))).toBe(true);
  const bits = code.encodedBits(symbols);
  expect(bytes.length * 8 - bits).toBeGreaterThanOrEqual(0);
  expect(bytes.length * 8 - bits).toBeLessThan(16);
  const shipped = decodeTable(encodeTable(code));
  expect([...shipped.encode(symbols)]).toEqual([...bytes]);
  if (
    symbols.length <= 3000 &&
    code.lengths.length <= 5000 &&
    code.lengths.filter((length) => length > 0).length > 1
  ) {
    const middle = middleOf(symbols.length);
    expect(readPair(bytes, middle, symbols.length - middle, code.lengths, code)).toEqual([...symbols]);
  }
}

describe("huffmanCode", () => {
  it("round-trips every alphabet, and the reference decoder reads the same", () => {
    const next = random(1);
    for (const alphabetSize of [1, 2, 3, 16, 239, 240, 241, 256, 257, 4096]) {
      for (const p of [0.05, 0.5, 0.95]) {
        const training = geometric(new Uint16Array(2000), alphabetSize, p, next);
        const code = huffmanCode(codeLengths(countSymbols(training, alphabetSize).map((count) => count + 1)));
        for (const n of [0, 1, 2, 63, 64, 65, 66, 67, 1000, 2999]) {
          check(code, geometric(new Uint16Array(n), alphabetSize, p, next));
        }
        check(code, geometric(new Uint16Array(40_000), alphabetSize, p, next));
      }
    }
  });

  it("round-trips the largest symbol again and again: no entry of the table is a NaN", () => {
    const lengths = new Uint8Array(65536);
    for (const [word, length] of [
      [0xff, 1],
      [0xfff0, 2],
      [0x7ff8, 3],
      [0xffff, 3],
    ])
      lengths[word] = length;
    const code = huffmanCode(lengths);
    const next = random(2);
    const symbols = Uint16Array.from(
      { length: 50_000 },
      () => [0xff, 0xfff0, 0x7ff8, 0xffff][Math.floor(4 * next())],
    );
    check(code, symbols);
    const bytes = huffmanCode(new Uint8Array(256).fill(1, 254));
    check(
      bytes,
      Uint8Array.from({ length: 50_000 }, () => (next() < 0.5 ? 254 : 255)),
    );
  });

  it("round-trips codes of 20 bits, longer than the decoder's table, at any mixture", () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 2, max: 300 }),
        fc.integer({ min: 0, max: 40_000 }),
        (seed, size, n) => {
          const next = random(seed);
          const lengths = randomLengths(size, 2 + Math.floor(next() * (size - 1)), next);
          const used = Uint16Array.from(lengths.keys()).filter((word) => lengths[word] > 0);
          const symbols = Uint16Array.from({ length: n }, () => used[Math.floor(next() * used.length)]);
          check(huffmanCode(lengths), symbols);
        },
      ),
      { numRuns: 60 },
    );
    const deep = Uint8Array.from({ length: 21 }, (_, s) => Math.min(20, s + 1));
    check(
      huffmanCode(deep),
      Uint8Array.from({ length: 10_000 }, (_, i) => 20 - (i % 3)),
    );
  });

  it("round-trips an alphabet of 65,536 with all its symbols", () => {
    const next = random(3);
    const symbols = Uint16Array.from({ length: 300_000 }, () => Math.floor(next() * next() * 65536));
    symbols[0] = 65535;
    const code = huffmanCode(codeLengths(countSymbols(symbols).map((count) => count + 1)));
    check(code, symbols);
    check(code, symbols.subarray(0, 1000));
  });

  it("costs nothing for an alphabet of one symbol, whichever it is", () => {
    const code = huffmanCode(Uint8Array.of(0, 0, 1));
    expect(code.encode(new Uint8Array(1000).fill(2)).length).toBe(0);
    expect([...code.decode(new Uint8Array(0), 3)]).toEqual([2, 2, 2]);
    expect(code.encodedBits(Uint8Array.of(2, 2))).toBe(0);
    expect(() => code.decode(new Uint8Array(1), 3)).toThrow(CorruptInputError);
  });

  it("refuses a symbol without a code, lengths that are no code, and wrong arguments", () => {
    const code = huffmanCode(Uint8Array.of(1, 1, 0));
    expect(() => code.encode(Uint8Array.of(0, 2))).toThrow(RangeError);
    expect(() => code.encode(Uint8Array.of(3))).toThrow(RangeError);
    expect(() => code.encode([0] as never)).toThrow(TypeError);
    expect(() => code.decode([0] as never, 1)).toThrow(TypeError);
    expect(() => code.decode(new Uint8Array(1), -1)).toThrow(/count.*got -1/);
    expect(() => code.decode(new Uint8Array(1), 2 ** 30)).toThrow(RangeError);
    for (const lengths of [[], [0], [1], [2], [1, 2], [1, 1, 1], [0, 0], [2, 2, 2], [21, 1]].map((l) =>
      Uint8Array.from(l),
    )) {
      if (lengths.length === 1 && lengths[0] === 1) expect(huffmanCode(lengths).alphabetSize).toBe(1);
      else expect(() => huffmanCode(lengths)).toThrow(/lengths: expected a complete prefix code/);
    }
    expect(() => huffmanCode([1, 1] as never)).toThrow(TypeError);
  });

  it("throws on bytes that are too few, too many, padded with ones, or of another count", () => {
    const next = random(4);
    const code = huffmanCode(Uint8Array.of(1, 2, 3, 3));
    for (const n of [1000, 20_000]) {
      const bytes = code.encode(geometric(new Uint8Array(n), 4, 0.5, next));
      expect(() => code.decode(bytes.subarray(0, -1), n)).toThrow(CorruptInputError);
      expect(() => code.decode(Uint8Array.of(...bytes, 0), n)).toThrow(CorruptInputError);
      expect(() => code.decode(bytes, 3 * n + 30)).toThrow(CorruptInputError);
    }
    expect(() => code.decode(new Uint8Array(0), 1)).toThrow(CorruptInputError);
    expect([...code.decode(Uint8Array.of(0b01000000), 2)]).toEqual([0, 1]);
    expect(() => code.decode(Uint8Array.of(0b01000001), 2)).toThrow(/padding/);
  });

  it("allocates nothing for a count that the bytes cannot hold", () => {
    const code = huffmanCode(Uint8Array.of(1, 1));
    expect(() => code.decode(new Uint8Array(10), 2 ** 28)).toThrow(/payload: end/);
  });
});

describe("groupCode, runCode and learnCode", () => {
  it("round-trip data that the samples never showed, and the reference decoder reads the same", () => {
    const next = random(5);
    for (const alphabetSize of [2, 3, 16, 300]) {
      const samples = geometric(new Uint16Array(3000), alphabetSize, 0.2, next);
      const codes = [
        learnCode(samples, alphabetSize),
        groupCode(samples, { alphabetSize }),
        runCode(samples, { alphabetSize }),
      ];
      for (let k = 2; k <= 8; k++) {
        if (alphabetSize ** k <= 65536 && (alphabetSize < 257 || k <= 4))
          codes.push(groupCode(samples, { alphabetSize, groupSize: k }));
      }
      for (const runLimit of [2, 8, 64, 256]) {
        if (runLimit * (alphabetSize - 1) < 65536) codes.push(runCode(samples, { alphabetSize, runLimit }));
      }
      for (const code of codes) {
        for (const n of [0, 1, 63, 64, 65, 999]) {
          check(code, geometric(new Uint16Array(n), alphabetSize, [0.1, 0.7, 0.97][n % 3], next));
          check(code, new Uint8Array(n));
        }
        check(code, geometric(new Uint8Array(20_000), Math.min(256, alphabetSize), 0.1, next));
      }
    }
  });

  it("round-trip runs of zeros far longer than a word, in either stream", () => {
    const code = runCode(geometric(new Uint8Array(5000), 16, 0.05, random(6)), { alphabetSize: 16 });
    for (const n of [1000, 100_000]) {
      for (const at of [[], [0], [n - 1], [n >> 1], [(n >> 1) - 1, n >> 1], [3, n - 300]]) {
        const symbols = new Uint8Array(n);
        for (const i of at) symbols[i] = 15;
        check(code, symbols);
      }
    }
  });

  it("go below one bit a symbol, to within 4 % of the entropy on zeros of 90 %", () => {
    const next = random(7);
    const training = geometric(new Uint8Array(200_000), 16, 0.1, next);
    const test = geometric(new Uint8Array(200_000), 16, 0.1, next);
    const entropy = shannonEntropy(countSymbols(test));
    const bits = (code: HuffmanCode) =>
      (8 * (code.encode(test).length + encodeTable(code).length)) / test.length;
    expect(entropy).toBeLessThan(0.53);
    expect(bits(huffmanCode(codeLengths(countSymbols(training, 16).map((c) => c + 1))))).toBeGreaterThan(1.1);
    expect(bits(groupCode(training, { alphabetSize: 16 }))).toBeLessThan(0.66);
    expect(bits(runCode(training, { alphabetSize: 16 }))).toBeLessThan(1.04 * entropy);
    expect(bits(learnCode(training, 16))).toBeLessThan(1.04 * entropy);
  });

  it("take what neighbours say of each other: alternating symbols cost far less than their entropy", () => {
    const symbols = Uint8Array.from({ length: 10_000 }, (_, i) => i & 1);
    const code = learnCode(symbols, 2);
    expect(code.groupSize).toBeGreaterThan(1);
    expect(code.encodedBits(symbols) / symbols.length).toBeLessThan(0.2);
  });

  it("choose single symbols where nothing else pays", () => {
    const next = random(8);
    const uniform = Uint8Array.from({ length: 5000 }, () => Math.floor(next() * 16));
    expect(learnCode(uniform, 16)).toMatchObject({ groupSize: 1, runLimit: 0 });
    expect(learnCode(new Uint8Array(10), 1)).toMatchObject({ alphabetSize: 1 });
  });

  it("refuse words that are too many, and symbols outside the alphabet", () => {
    const samples = Uint8Array.of(0, 1, 2);
    expect(() => groupCode(samples, { alphabetSize: 256, groupSize: 3 })).toThrow(/groupSize.*got 3/);
    expect(() => groupCode(samples, { alphabetSize: 3, groupSize: 9 })).toThrow(RangeError);
    expect(() => runCode(samples, { alphabetSize: 3, runLimit: 12 })).toThrow(
      /runLimit.*power of two.*got 12/,
    );
    expect(() => runCode(samples, { alphabetSize: 1000, runLimit: 128 })).toThrow(RangeError);
    expect(() => groupCode(samples, { alphabetSize: 2, groupSize: 2 })).toThrow(/symbols\[2\].*got 2/);
    expect(() => runCode(samples, { alphabetSize: 2, runLimit: 4 })).toThrow(/symbols\[2\].*got 2/);
    expect(() => learnCode(samples, 2)).toThrow(RangeError);
    const code = groupCode(samples, { alphabetSize: 4, groupSize: 2 });
    expect(() => code.encode(Uint8Array.of(0, 4, 1))).toThrow(/symbols\[1\]/);
  });
});

describe("encodeTable and decodeTable", () => {
  it("give back any complete code", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 2000 }), (seed, size) => {
        const next = random(seed);
        const lengths = randomLengths(size, 2 + Math.floor(next() * (size - 1)), next);
        expect([...decodeTable(encodeTable(huffmanCode(lengths))).lengths]).toEqual([...lengths]);
      }),
    );
  });

  it("take at most 10 bytes for 16 Laplace-distributed levels", () => {
    const counts = Uint32Array.from({ length: 16 }, (_, s) => 1 + Math.floor(100_000 * 0.6 ** s));
    expect(encodeTable(huffmanCode(codeLengths(counts))).length).toBeLessThanOrEqual(10);
  });

  it("refuse every single-byte change that leaves no complete code, and every truncation", () => {
    const table = encodeTable(learnCode(geometric(new Uint8Array(5000), 16, 0.4, random(9)), 16));
    for (let cut = 0; cut < table.length; cut++) {
      expect(() => decodeTable(table.subarray(0, cut))).toThrow(CorruptInputError);
    }
    for (let at = 0; at < table.length; at++) {
      for (let flip = 1; flip < 256; flip++) {
        const altered = table.slice();
        altered[at] ^= flip;
        try {
          const code = decodeTable(altered);
          huffmanCode(code.lengths); // what is accepted is complete
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptInputError);
        }
      }
    }
    expect(() => decodeTable(Uint8Array.of(...table, 0))).toThrow(CorruptInputError);
    expect(() => decodeTable("x" as never)).toThrow(TypeError);
  });
});
