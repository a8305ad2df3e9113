import { describe, expect, it } from "vitest";
import { CorruptInputError, compress, decompress, type Symbols } from "../src/index.js";
import { geometric, random, toBytes, varint, withChecksum } from "./reference.js";

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
const fourStreams = noise(33_000, 200);

describe("decompress on altered bytes", () => {
  it.each(samples)("detects every single flipped bit of a stream of %s", (_, symbols) => {
    const bytes = compress(symbols);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = bytes.slice();
      altered[bit >> 3] ^= 1 << (bit & 7);
      expect(() => decompress(altered), `bit ${bit}`).toThrow(CorruptInputError);
    }
  });

  it("detects flipped bits all over a stream of four", () => {
    const bytes = compress(fourStreams);
    expect(bytes[1] & 8).toBe(8);
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
  /** A stream with a right checksum of `symbols`, so that nothing but the decoder's own checks can refuse it. */
  const stream = (kind: number, count: number, body: number[], symbols: number[], payload: number[]) =>
    withChecksum([0x48, 0x10 | kind, ...varint(count), ...body], symbols, (kind & 4) > 0, payload);
  /** Code lengths 1 .. 20 or 0, as tokens of the table. */
  const table = (alphabetSize: number, tokens: string) => [1, ...varint(alphabetSize), ...toBytes(tokens)];
  const explicit = (length: number) => `11111${length.toString(2).padStart(5, "0")}`;

  it("accepts the same streams where nothing is wrong", () => {
    const good = stream(2, 3, table(2, explicit(1) + explicit(1)), [0, 1, 1], [0b01100000]);
    expect([...decompress(good)]).toEqual([0, 1, 1]);
  });

  it("a code of length zero does not loop for ever: a table of no codes, or of one, is refused", () => {
    expect(() => decompress(stream(2, 1000, table(4, "11110" + "00100"), [], [0, 0]))).toThrow(
      CorruptInputError,
    );
    expect(() => decompress(stream(2, 1000, table(2, `${explicit(1)}111101`), [], [0, 0]))).toThrow(
      CorruptInputError,
    );
    expect(() => decompress(stream(2, 9, table(2, explicit(0) + explicit(1)), [], [0]))).toThrow(
      /impossible length/,
    );
    expect(() => decompress(stream(1, 1000, [1], [], [0, 0]))).toThrow(CorruptInputError);
    expect(() => decompress(stream(1, 1000, [0], [], [0, 0]))).toThrow(CorruptInputError);
  });

  it("a repeated length does not run past the table", () => {
    const gamma = (value: number) => "0".repeat(value.toString(2).length - 1) + value.toString(2);
    const past = table(4, `${explicit(2)}1110${gamma(2)}`); // 1 + 4 lengths for 4 words
    expect(() => decompress(stream(2, 2, past, [0, 1], [0b00010000]))).toThrow(/past its end/);
    const exact = table(4, `${explicit(2)}1110${gamma(1)}`);
    expect([...decompress(stream(2, 2, exact, [0, 1], [0b00010000]))]).toEqual([0, 1]);
    const zeros = table(3, `${explicit(1) + explicit(1)}11110${gamma(60_000)}`);
    expect(() => decompress(stream(2, 2, zeros, [0, 1], [0b01000000]))).toThrow(/past its end/);
    const endless = table(3, `1110${"0".repeat(400)}`);
    expect(() => decompress(stream(2, 2, endless, [0, 1], [0b01000000]))).toThrow(CorruptInputError);
  });

  it("truncation is not read as zeros for ever", () => {
    // code 0 is the symbol 0: a reader that invents zeros finds any number of them
    const body = table(2, explicit(1) + explicit(1));
    expect([...decompress(stream(2, 16, body, new Array(16).fill(0), [0, 0]))]).toEqual(
      new Array(16).fill(0),
    );
    for (const count of [17, 100, 16_000_000]) {
      expect(() => decompress(stream(2, count, body, new Array(100).fill(0), [0, 0]))).toThrow(
        CorruptInputError,
      );
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
      const body = table(lengths.length, lengths.map(explicit).join(""));
      expect(() => decompress(stream(2, 4, body, [0, 0, 0, 0], [0]))).toThrow(/complete prefix code/);
    }
    expect(() => decompress(stream(2, 4, table(2, explicit(21) + explicit(1)), [0, 0, 0, 0], [0]))).toThrow(
      /impossible/,
    );
  });

  it("all weights equal, or a single one, decode without a code", () => {
    for (const value of [0, 1, 255]) {
      const symbols = new Uint8Array(5000).fill(value);
      expect([...decompress(compress(symbols))]).toEqual([...symbols]);
    }
  });

  it("a count from the header allocates nothing that the bytes cannot hold", () => {
    const before = process.memoryUsage().arrayBuffers;
    const body = table(2, explicit(1) + explicit(1));
    for (const count of [2 ** 27, 2 ** 28, 2 ** 31, 2 ** 40]) {
      expect(() => decompress(stream(2, count, body, [], [0, 0]))).toThrow(CorruptInputError);
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
  });

  it("a constant stream of few bytes is capped by the caller", () => {
    const bytes = compress(new Uint8Array(1_000_000));
    expect(bytes.length).toBe(10);
    expect(() => decompress(bytes, { maxLength: 999_999 })).toThrow(
      /claims 1000000 symbols, more than maxLength 999999/,
    );
    expect(decompress(bytes, { maxLength: 1_000_000 }).length).toBe(1_000_000);
    expect(() => decompress(stream(0, 2 ** 28 + 1, [0], [], []))).toThrow(/more than maxLength/);
  });

  it("streams that end early or late, or are padded with ones, are refused", () => {
    const body = table(2, explicit(1) + explicit(1));
    expect(() => decompress(stream(2, 3, body, [0, 1, 1], [0b01100001]))).toThrow(/padding/);
    expect(() => decompress(stream(2, 3, body, [0, 1, 1], [0b01100000, 0]))).toThrow(/do not end/);
    const padded = table(2, `${explicit(1)}${explicit(1)}0001`);
    expect(() => decompress(stream(2, 3, padded, [0, 1, 1], [0b01100000]))).toThrow(
      /padding after the code's table/,
    );
  });

  it("a last word that reaches past the end with anything but zeros is refused", () => {
    const pairs = [2, 2, ...toBytes(explicit(2) + "0".repeat(3))]; // groups of 2 over 0 and 1: words 00 10 01 11
    expect([...decompress(stream(2, 3, pairs, [0, 0, 1], [0b00010000]))]).toEqual([0, 0, 1]);
    expect(() => decompress(stream(2, 3, pairs, [0, 0, 1], [0b00110000]))).toThrow(/past the end/);
  });

  it("headers that contradict themselves, and streams of other kinds or versions, are refused", () => {
    const symbols = geometric(new Uint8Array(900), 16, 0.7, next);
    const bytes = compress(symbols);
    for (const second of [0x02, 0x22, 0x13, 0x1b, 0x1a]) {
      expect(() => decompress(Uint8Array.of(0x48, second, ...bytes.subarray(2)))).toThrow(CorruptInputError);
    }
    expect(() => decompress(Uint8Array.of(0x1f, 0x8b, ...bytes))).toThrow(/begin with 0x48/);
    for (const words of [0, 9, 15, 16, 25, 255]) {
      expect(() => decompress(stream(2, 1, [words, 4, 255, 255, 255], [0], [0]))).toThrow(CorruptInputError);
    }
    expect(() => decompress(stream(1, 10, varint(257), [0], [0, 0, 0]))).toThrow(/contradicts/); // bytes have 256 values
  });
});
