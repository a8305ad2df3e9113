import { describe, expect, it } from "vitest";
import { ansCode, CorruptInputError, compress, compressMap, decompressMap } from "../src/index.js";
import { aligned, frequencyBits, varint, writeStream } from "./reference.js";
import { featureMap, firstDifference, geometric, random } from "./sources.js";

/** One stream of each kind and width, of a few hundred bytes at most. */
const samples: Record<string, { symbols: Uint8Array | Uint16Array; stream: Uint8Array }> = {};
const add = (name: string, symbols: Uint8Array | Uint16Array, stream: Uint8Array): void => {
  samples[name] = { symbols, stream };
};
const small = geometric(300, 0.5, 12);
add("empty", new Uint8Array(0), compress(new Uint8Array(0)));
add("stored", Uint8Array.of(1, 2, 3), compress(Uint8Array.of(1, 2, 3)));
add("stored, 16 bits", Uint16Array.of(1, 2, 300), compress(Uint16Array.of(1, 2, 300)));
add("constant", new Uint8Array(1000).fill(9), compress(new Uint8Array(1000).fill(9)));
add("static, one state", small, compress(small));
add("static", geometric(1500, 0.5, 12), compress(geometric(1500, 0.5, 12)));
const words = Uint16Array.from(geometric(900, 0.5, 12), (symbol) => 1000 + 7 * symbol);
add("static, 16 bits", words, compress(words));
const halves = geometric(16_385, 0.03, 3);
const sparsePairs = Uint8Array.from({ length: 32_769 }, (_, i) => halves[i >> 1]);
add("pairs", sparsePairs, compress(sparsePairs));
const map = featureMap(64, 16, 2);
add("maps, four bands", map, compressMap(map, { height: 64, width: 16, channels: 2 }));
const few = featureMap(63, 40, 1);
add("maps, one band", few, compressMap(few, { height: 63, width: 40, channels: 1 }));

/** True when the bytes are refused; fails on any other error and on a wrong answer. */
function refused(bytes: Uint8Array, symbols: Uint8Array | Uint16Array): boolean {
  try {
    const out = decompressMap(bytes, { maxLength: 200_000 });
    if (firstDifference(out, symbols) !== -1) throw new Error("a silent wrong decode");
    return false;
  } catch (error) {
    if (error instanceof CorruptInputError) return true;
    throw error;
  }
}

describe("corrupt streams", () => {
  it("are made from streams of every kind", () => {
    const kinds = Object.values(samples).map(({ stream }) => stream[1] & 15);
    expect(kinds).toEqual([0, 0, 8, 1, 2, 2, 10, 3, 4, 4]);
    for (const { symbols, stream } of Object.values(samples)) expect(refused(stream, symbols)).toBe(false);
  });

  for (const [name, { symbols, stream }] of Object.entries(samples)) {
    it(`are refused for every single flipped bit: ${name}`, () => {
      for (let bit = 0; bit < 8 * stream.length; bit++) {
        const flipped = stream.slice();
        flipped[bit >> 3] ^= 1 << (bit & 7);
        if (!refused(flipped, symbols)) expect.fail(`bit ${bit} of ${8 * stream.length} flipped unseen`);
      }
    });

    it(`are refused when cut anywhere: ${name}`, () => {
      for (let end = 0; end < stream.length; end++) {
        if (!refused(stream.subarray(0, end), symbols)) expect.fail(`cut at ${end} unseen`);
      }
    });
  }

  it("never hang, throw anything else or decode wrongly, however mutated", () => {
    const list = Object.values(samples);
    const next = random(Number(process.env.FUZZ_SEED ?? 1));
    const pick = (n: number): number => Math.floor(n * next());
    for (let round = 0; round < 4000; round++) {
      const { symbols, stream } = list[pick(list.length)];
      let bytes = Array.from(stream);
      for (let change = 1 + pick(4); change > 0; change--) {
        const at = pick(bytes.length + 1);
        const what = pick(5);
        if (what === 0) bytes[pick(bytes.length)] = pick(256);
        else if (what === 1) bytes.splice(at, 1 + pick(3));
        else if (what === 2) bytes.splice(at, 0, pick(256), pick(256));
        else if (what === 3) bytes[pick(Math.min(20, bytes.length))] ^= 1 << pick(8);
        else bytes = [...bytes.slice(0, at), ...Array.from(list[pick(list.length)].stream.subarray(at))];
        if (bytes.length === 0) bytes.push(pick(256));
      }
      // A mutation may end at another sample's stream, or at this one's: both are right answers.
      const text = bytes.join();
      const other = list.find((sample) => sample.stream.join() === text);
      refused(Uint8Array.from(bytes), other?.symbols ?? symbols);
    }
  });
});

describe("bugs that other decoders had", () => {
  const header = (kind: number, tableLog: number, count: number): number[] => [
    0xb1,
    kind + 16 * tableLog,
    ...varint(count),
  ];
  const refuse = (bytes: Iterable<number>): void => {
    expect(() => decompressMap(Uint8Array.from(bytes))).toThrow(CorruptInputError);
  };

  it("a code that spends no bits: does not loop, and ends by the count", () => {
    const stream = writeStream(2, new Uint8Array(5000).fill(3), [[0, 0, 0, 512]]);
    expect(firstDifference(decompressMap(stream), new Uint8Array(5000).fill(3))).toBe(-1);
    refuse([...header(2, 9, 5000), ...aligned(frequencyBits([0, 0, 0, 512], 9)), 0, 0, 0, 0]);
  });

  it("a run of absent symbols past the alphabet: is refused", () => {
    refuse([
      ...header(2, 9, 5),
      ...aligned(frequencyBits([...new Array(256).fill(0), 512], 9)),
      0,
      0,
      0,
      0,
      1,
    ]);
    const far = [...new Array(70_000).fill(0), 512];
    refuse([...header(10, 9, 5), ...aligned(frequencyBits(far, 9)), 0, 0, 0, 0, 1]);
  });

  it("frequencies that sum to more or less than the table: are refused", () => {
    refuse([...header(2, 9, 5), ...aligned(frequencyBits([500, 13], 9)), 0, 0, 0, 0, 1]);
    refuse([...header(2, 9, 5), ...aligned(frequencyBits([500, 11], 9)), 0, 0, 0, 0, 1]);
    refuse([...header(2, 9, 5), 255, 255, 255, 255, 255, 255, 255, 255]);
    refuse([...header(2, 9, 5), ...new Array(40).fill(0)]);
  });

  it("truncation: is not read as zeros for ever", () => {
    const code = ansCode([500, 12]);
    const bytes = code.encode(geometric(50_000, 0.02, 2));
    for (const keep of [1, 2, 8, 9, bytes.length >> 1, bytes.length - 1]) {
      expect(() => code.decode(bytes.subarray(0, keep), 50_000)).toThrow(CorruptInputError);
      expect(() => code.decode(bytes.subarray(bytes.length - keep), 50_000)).toThrow(CorruptInputError);
    }
  });

  it("all symbols equal: is a stream like any other", () => {
    for (const length of [1, 2, 511, 512, 100_000]) {
      const symbols = new Uint8Array(length).fill(255);
      expect(firstDifference(decompressMap(compress(symbols)), symbols)).toBe(-1);
      const map = { height: length, width: 1, channels: 1 };
      expect(firstDifference(decompressMap(compressMap(symbols, map)), symbols)).toBe(-1);
    }
  });

  it("a huge claimed count: allocates nothing, whatever the kind", () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const kind of [0, 1, 2, 3, 4]) {
      for (const count of [2 ** 24 - 1, 2 ** 31, 2 ** 52]) {
        const shape = kind === 4 ? [...varint(1), ...varint(1), ...varint(1), 0, 1, 1] : [];
        const table = kind < 2 ? [] : aligned(frequencyBits([256, 256], 9));
        refuse([...header(kind, kind < 2 ? 0 : 9, count), ...shape, ...table, 0, 0, 0, 0, 7, 7, 7]);
      }
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 26);
  });

  it("more symbols than the caller's cap: are refused, and as many are not", () => {
    const stream = compress(new Uint8Array(1000));
    expect(decompressMap(stream, { maxLength: 1000 })).toHaveLength(1000);
    expect(() => decompressMap(stream, { maxLength: 999 })).toThrow(/1000 symbols claimed, maxLength is 999/);
    expect(() => decompressMap(stream, { maxLength: Number.NaN })).toThrow(RangeError);
    const more = compress(new Uint8Array(2 ** 24 + 3000));
    expect(() => decompressMap(more)).toThrow(CorruptInputError);
    expect(decompressMap(more, { maxLength: 2 ** 25 })).toHaveLength(2 ** 24 + 3000);
  });

  it("a header number with needless zeros, unknown kinds and table logs: are refused", () => {
    refuse([0xb1, 0, 0x80, 0, 0, 0, 0, 0]);
    refuse([0xb1, 0, ...new Array(12).fill(0xff)]);
    refuse([0xb0, 0, 0, 0, 0, 0, 0]);
    for (const second of [5, 6, 7, 16, 2, 2 + 16 * 8, 2 + 16 * 15, 11 + 16 * 9]) {
      refuse([0xb1, second, 5, ...aligned(frequencyBits([256, 256], 9)), 0, 0, 0, 0, 1, 1, 1]);
    }
    refuse([]);
  });
});
