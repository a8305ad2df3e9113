import { describe, expect, it } from "vitest";
import { CorruptInputError, compress, decompress, type Symbols } from "../src/index.js";
import { gamma, geometric, headerBytes, random, type Words, withChecksum } from "./reference.js";

const next = random(1);
const noise = (n: number, size: number) => Uint8Array.from({ length: n }, () => Math.floor(next() * size));

/** A stream of every kind. */
const samples: [string, Symbols][] = [
  ["nothing", new Uint8Array(0)],
  ["one 16-bit symbol", Uint16Array.of(513)],
  ["a constant", new Uint8Array(700).fill(9)],
  ["equal bits", noise(100, 11)],
  ["single symbols, one stream", geometric(new Uint8Array(60), 16, 0.6, next)],
  ["single symbols, two streams", geometric(new Uint8Array(900), 16, 0.7, next)],
  ["16-bit symbols", geometric(new Uint16Array(500), 3000, 0.99, next)],
  ["groups", Uint8Array.from({ length: 2000 }, (_, i) => (i & 1 ? noise(1, 2)[0] : 1))],
  ["zero runs", geometric(new Uint8Array(3000), 16, 0.06, next)],
];

describe("decompress on altered bytes", () => {
  it.each(samples)("detects every single flipped bit of a stream of %s", (_, symbols) => {
    const bytes = compress(symbols);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = bytes.slice();
      altered[bit >> 3] ^= 1 << (bit & 7);
      expect(() => decompress(altered), `bit ${bit}`).toThrow(CorruptInputError);
    }
  });

  it("detects flipped bits all over a stream of equal bits that is longer", () => {
    const bytes = compress(noise(33_000, 200));
    for (let bit = 0; bit < bytes.length * 8; bit += bit < 2000 ? 1 : 1 + Math.floor(next() * 1500)) {
      const altered = bytes.slice();
      altered[bit >> 3] ^= 1 << (bit & 7);
      expect(() => decompress(altered), `bit ${bit}`).toThrow(CorruptInputError);
    }
  });

  it.each(samples)("detects every truncation and every byte too many of a stream of %s", (_, symbols) => {
    const bytes = compress(symbols);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decompress(bytes.subarray(0, length))).toThrow(CorruptInputError);
    }
    for (const extra of [0, 255]) {
      expect(() => decompress(Uint8Array.of(...bytes, extra))).toThrow(CorruptInputError);
    }
  });

  it("decodes nothing wrong in 6,000 mutations, and throws nothing but CorruptInputError", () => {
    const streams = samples.map(([, symbols]) => compress(symbols));
    let refused = 0;
    for (let round = 0; round < 6000; round++) {
      const which = Math.floor(next() * streams.length);
      const original = streams[which];
      let altered: Uint8Array = original.slice();
      for (let edits = 1 + Math.floor(next() * 4); edits > 0; edits--) {
        const at = Math.floor(next() * altered.length);
        const other = streams[Math.floor(next() * streams.length)];
        const action = Math.floor(next() * 5);
        if (action === 0) altered[at] = Math.floor(next() * 256);
        else if (action === 1) altered[at] ^= 1 << Math.floor(next() * 8);
        else if (action === 2) altered = altered.slice(0, at);
        else if (action === 3) altered = Uint8Array.of(...altered.subarray(0, at), ...other.subarray(at));
        else altered.copyWithin(at, Math.floor(next() * altered.length));
      }
      const isOther = streams.some((stream) => Buffer.compare(stream, altered) === 0);
      if (isOther) continue;
      expect(() => decompress(altered, { maxLength: 1 << 20 })).toThrow(CorruptInputError);
      refused++;
    }
    expect(refused).toBeGreaterThan(5000);
  });

  it("refuses noise", () => {
    for (let round = 0; round < 3000; round++) {
      const bytes = noise(Math.floor(next() * 60), 256);
      if (round & 1 && bytes.length > 1) bytes.set([0x48, 0x10 | (bytes[1] & 15)]);
      expect(() => decompress(bytes, { maxLength: 1 << 20 })).toThrow(CorruptInputError);
    }
  });
});

describe("the bugs of other decoders, replayed", () => {
  const single = (alphabetSize: number): Words => ({ alphabetSize, groupSize: 1, runLimit: 0 });
  /** A stream with a right checksum, so that nothing but the decoder's own checks can refuse it. */
  const stream = (count: number, words: Words, tokens: string | number[], payload: number[]) =>
    withChecksum(headerBytes(false, count, words, tokens), payload);
  const explicit = (length: number) => `11111${length.toString(2).padStart(5, "0")}`;

  it("accepts the same streams where nothing is wrong", () => {
    const good = stream(3, single(2), [1, 1], [0b01100000]);
    expect([...decompress(good)]).toEqual([0, 1, 1]);
  });

  it("a code of length zero does not loop for ever: a table of no codes is refused, of one takes no bytes", () => {
    expect(() => decompress(stream(1000, single(4), "1111000100", [0, 0]))).toThrow(CorruptInputError);
    expect(() => decompress(stream(1000, single(2), [1, 0], [0, 0]))).toThrow(CorruptInputError);
    expect([...decompress(stream(3, single(2), [0, 1], []))]).toEqual([1, 1, 1]);
    expect(() => decompress(stream(3, single(2), [0, 2], []))).toThrow(/complete code/);
    expect(() => decompress(stream(9, single(2), explicit(0) + explicit(1), [0]))).toThrow(/complete code/);
    const loneRun = { ...single(4), runLimit: 2 };
    expect(() => decompress(stream(9, loneRun, [1, 0, 0, 0, 0, 0, 0], []))).toThrow(/complete code/);
  });

  it("a repeated length does not run past the table", () => {
    const past = `${explicit(2)}1110${gamma(2)}`; // 1 + 4 lengths for 4 words
    expect(() => decompress(stream(2, single(4), past, [0b00010000]))).toThrow(CorruptInputError);
    const exact = `${explicit(2)}1110${gamma(1)}`;
    expect([...decompress(stream(2, single(4), exact, [0b00010000]))]).toEqual([0, 1]);
    const zeros = `${explicit(1)}${explicit(1)}11110${gamma(60_000)}`;
    expect(() => decompress(stream(2, single(3), zeros, [0b01000000]))).toThrow(CorruptInputError);
    const endless = `1110${"0".repeat(400)}`;
    expect(() => decompress(stream(2, single(3), endless, [0b01000000]))).toThrow(CorruptInputError);
  });

  it("truncation is not read as zeros for ever, in one stream or two, with or without runs", () => {
    // code 0 is the symbol 0: a reader that invents zeros finds any number of them
    const zeros = (n: number) => new Array(n).fill(0);
    expect([...decompress(stream(16, single(2), [1, 1], zeros(2)))]).toEqual(zeros(16));
    for (const count of [17, 100, 16_000_000]) {
      expect(() => decompress(stream(count, single(2), [1, 1], zeros(2)))).toThrow(CorruptInputError);
    }
    const runs = { ...single(2), runLimit: 256 };
    const runLengths = zeros(257).fill(1, 0, 1).fill(1, 256);
    for (const count of [2000, 20_000]) {
      expect(decompress(stream(count, single(2), [1, 1], zeros(count / 8))).length).toBe(count);
      for (const bytes of [count / 8 - 1, count / 16]) {
        const short = stream(count, single(2), [1, 1], zeros(bytes));
        expect(() => decompress(short)).toThrow(CorruptInputError);
      }
      for (const bytes of [0, 1, 2, 5]) {
        expect(() => decompress(stream(count, runs, runLengths, zeros(bytes)))).toThrow(CorruptInputError);
      }
    }
  });

  it("over-subscribed and incomplete codes are refused", () => {
    for (const lengths of [
      [1, 1, 1],
      [1, 2],
      [2, 2, 2],
      [1, 2, 3, 3, 3],
      [3, 3, 3, 3, 3, 3, 3],
    ]) {
      expect(() => decompress(stream(4, single(lengths.length), lengths, [0]))).toThrow(/complete code/);
    }
    expect(() => decompress(stream(4, single(2), [21, 1], [0]))).toThrow(/complete code/);
  });

  it("all weights equal, or a single one, decode without a code", () => {
    for (const value of [0, 1, 255]) {
      const symbols = new Uint8Array(5000).fill(value);
      expect([...decompress(compress(symbols))]).toEqual([...symbols]);
    }
  });

  it("a count from the header allocates nothing that the bytes cannot hold", () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const count of [2 ** 27, 2 ** 28, 2 ** 30]) {
      expect(() => decompress(stream(count, single(2), [1, 1], [0, 0]))).toThrow(CorruptInputError);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
  });

  it("a constant stream of few bytes is capped by the caller", () => {
    const bytes = compress(new Uint8Array(1_000_000));
    expect(bytes.length).toBe(12);
    expect(() => decompress(bytes, { maxLength: 999_999 })).toThrow(
      "1000000 symbols claimed, maxLength is 999999",
    );
    expect(decompress(bytes, { maxLength: 1_000_000 }).length).toBe(1_000_000);
    expect(() => decompress(stream(2 ** 28 + 1, single(1), [1], []))).toThrow(/maxLength/);
  });

  it("streams that end early or late, or are padded with ones, are refused", () => {
    expect(() => decompress(stream(3, single(2), [1, 1], [0b01100001]))).toThrow(/padding/);
    expect(() => decompress(stream(3, single(2), [1, 1], [0b01100000, 0]))).toThrow(/payload: end/);
    const padded = `${explicit(1)}${explicit(1)}1`;
    expect(() => decompress(stream(3, single(2), padded, [0b01100000]))).toThrow(/padding/);
  });

  it("a last word that reaches past the end with anything but zeros is refused", () => {
    const pairs = { alphabetSize: 2, groupSize: 2, runLimit: 0 }; // words 00 10 01 11
    expect([...decompress(stream(3, pairs, [2, 2, 2, 2], [0b00010000]))]).toEqual([0, 0, 1]);
    expect(() => decompress(stream(3, pairs, [2, 2, 2, 2], [0b00110000]))).toThrow(/payload: end/);
  });

  it("words that cannot be, and streams of other kinds or versions, are refused", () => {
    const bytes = compress(geometric(new Uint8Array(900), 16, 0.7, next));
    for (const second of [0, 1, 4, 5, 0x82]) {
      expect(() => decompress(Uint8Array.of(0x48, second, ...bytes.subarray(2)))).toThrow(
        /not a stream of @bitdiet\/huffman/,
      );
    }
    expect(() => decompress(Uint8Array.of(0x1f, 0x8b, ...bytes))).toThrow(
      /not a stream of @bitdiet\/huffman/,
    );
    for (const words of [
      { alphabetSize: 4, groupSize: 0, runLimit: 0 },
      { alphabetSize: 2, groupSize: 9, runLimit: 0 },
      { alphabetSize: 4, groupSize: 1, runLimit: 2 ** 9 },
      { alphabetSize: 60_000, groupSize: 2, runLimit: 0 },
      { alphabetSize: 60_000, groupSize: 1, runLimit: 2 },
      { alphabetSize: 65_537, groupSize: 1, runLimit: 0 },
    ]) {
      expect(() => decompress(stream(4, words, "1".repeat(4800), [0]))).toThrow(/complete code/);
    }
    const flat = new Array(257).fill(9).fill(8, 0, 255); // a code, but bytes have 256 values
    expect(() => decompress(stream(1, single(257), flat, [0]))).toThrow(/complete code/);
  });
});
