import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mergeContexts } from "../src/context-tables.js";
import { contextsOf } from "../src/contexts.js";
import {
  ansCode,
  CorruptInputError,
  contextAnsCode,
  decodeContextTables,
  encodeContextTables,
  learnContextTables,
  magnitudeThresholds,
  neighbourContexts,
  normalizeCounts,
} from "../src/index.js";
import { codingOrder, neighbourContext, readPayload } from "./reference.js";
import { entropy, featureMap, geometric, random } from "./sources.js";

const shapes = fc.record({
  height: fc.integer({ min: 1, max: 40 }),
  width: fc.integer({ min: 1, max: 12 }),
  channels: fc.constantFrom(1, 2, 3, 4, 7),
});

describe("neighbourContexts", () => {
  it("are those of the definition, pixel by pixel, over several maps and bands", () => {
    fc.assert(
      fc.property(
        shapes,
        fc.integer({ min: 1, max: 4 }),
        fc.nat({ max: 9 }),
        fc.integer(),
        (shape, maps, zero, seed) => {
          const contexts = neighbourContexts({ ...shape, zero, thresholds: [1, 2, 5] });
          const next = random(seed);
          const count = maps * shape.height * shape.width * shape.channels;
          const symbols = Uint8Array.from({ length: count }, () => Math.floor(10 * next()));
          const fields = { ...shape, zero, thresholds: [1, 2, 5], tableOf: [] };
          const { tops } = codingOrder(count, fields);
          expect(Array.from(contextsOf(symbols, contexts, 10))).toEqual(
            Array.from(symbols, (_, i) => neighbourContext(symbols, i, tops, fields)),
          );
        },
      ),
      { numRuns: 100 },
    );
  });

  it("count their contexts, and refuse shapes and thresholds that are none", () => {
    expect(neighbourContexts({ height: 1, width: 1, channels: 1 }).count).toBe(27);
    expect(neighbourContexts({ height: 1, width: 1, channels: 2, thresholds: [1] }).count).toBe(16);
    for (const wrong of [
      { height: 0, width: 1, channels: 1 },
      { height: 1.5, width: 1, channels: 1 },
      { height: 65536, width: 65536, channels: 1 },
      { height: 1, width: 1, channels: 1, zero: -1 },
      { height: 1, width: 1, channels: 1, thresholds: [2, 2] },
      { height: 1, width: 1, channels: 1, thresholds: [] },
      { height: 1, width: 1, channels: 1, thresholds: [0] },
    ]) {
      expect(() => neighbourContexts(wrong)).toThrow(RangeError);
    }
  });

  it("take thresholds that share out the magnitudes", () => {
    expect(magnitudeThresholds([0, 0, 0, 1, 1, 2, 2, 3, 3], 0, 4)).toEqual([1, 2, 3]);
    expect(magnitudeThresholds([5, 6, 4, 7], 5, 3)).toEqual([1, 2]);
    expect(magnitudeThresholds([0, 0], 0, 4)).toEqual([1]);
    expect(() => magnitudeThresholds([], 0, 9)).toThrow(RangeError);
  });
});

describe("contextAnsCode", () => {
  it("decodes what it encoded with neighbour contexts, as the reference decoder does", () => {
    fc.assert(
      fc.property(shapes, fc.integer({ min: 1, max: 5 }), fc.integer(), (shape, maps, seed) => {
        const contexts = neighbourContexts(shape);
        const one = shape.height * shape.width * shape.channels;
        const symbols = geometric(maps * one, 0.5, 12, seed);
        const tables = learnContextTables(symbols.subarray(0, one), contexts, {
          alphabetSize: 12,
          tableLog: 10,
        });
        const code = contextAnsCode(tables, contexts);
        const bytes = code.encode(symbols);
        expect(code.decode(bytes, symbols.length)).toEqual(symbols);
        expect(code.encodedBits(symbols)).toBe(8 * bytes.length);

        const fields = { ...shape, zero: 0, thresholds: [1, 2], tableOf: [] };
        const { order, tops } = codingOrder(symbols.length, fields);
        const known: number[] = [];
        const decoded = readPayload(
          bytes,
          symbols.length,
          tables.tables.map((table) => Array.from(table)),
          (before, i) => {
            if (i > 0) known[order[i - 1]] = before[i - 1];
            return tables.tableOf[neighbourContext(known, order[i], tops, fields)];
          },
        );
        expect(decoded).toEqual(order.map((position) => symbols[position]));
      }),
      { numRuns: 60 },
    );
  });

  it("codes test maps with tables learned on training maps, 35 % below their entropy", () => {
    const shape = { height: 32, width: 32, channels: 8 };
    const maps = (from: number, to: number) =>
      Uint8Array.from(
        Array.from({ length: to - from }, (_, i) => Array.from(featureMap(32, 32, 8, from + i))).flat(),
      );
    const training = maps(1, 9);
    const test = maps(100, 104);
    const contexts = neighbourContexts({ ...shape, thresholds: magnitudeThresholds(training) });
    const shipped = encodeContextTables(learnContextTables(training, contexts, { alphabetSize: 16 }));
    const code = contextAnsCode(decodeContextTables(shipped), contexts);
    const bytes = code.encode(test);
    expect(code.decode(bytes, test.length)).toEqual(test);
    expect(8 * (bytes.length + shipped.length)).toBeLessThan(0.65 * entropy(test));
  });

  it("follows a caller's contexts, which see the symbols before", () => {
    const next = random(5);
    // Each symbol repeats the one before with probability 0.9.
    const symbols = new Uint16Array(5000);
    for (let i = 1; i < symbols.length; i++)
      symbols[i] = next() < 0.9 ? symbols[i - 1] : Math.floor(400 * next());
    const contexts = {
      count: 400,
      contextOf: (before: ArrayLike<number>, index: number) => (index > 0 ? before[index - 1] : 0),
    };
    const tables = learnContextTables(symbols, contexts, { alphabetSize: 400 });
    const code = contextAnsCode(tables, contexts);
    const bytes = code.encode(symbols);
    expect(code.decode(bytes, 5000)).toEqual(symbols);
    expect(code.encodedBits(symbols)).toBe(8 * bytes.length);
    for (const length of [0, 1, 2, 511, 512, 513]) {
      const some = symbols.subarray(0, length);
      expect(code.decode(code.encode(some), length)).toEqual(some);
    }
    const wrong = { count: 2, contextOf: () => 2 };
    const pair = { tableLog: 9, tables: [normalizeCounts([1, 1], 9)], tableOf: new Uint8Array(2) };
    expect(() => contextAnsCode(pair, wrong).encode([0, 1])).toThrow(
      /contextOf\(symbols, 0\): expected 0..1, got 2/,
    );
  });

  it("with one table writes the bytes of ansCode", () => {
    const symbols = geometric(3000, 0.6, 9);
    const table = normalizeCounts([9, 8, 7, 6, 5, 4, 3, 2, 1], 11);
    const tables = { tableLog: 11, tables: [table], tableOf: new Uint8Array(1) };
    const code = contextAnsCode(tables, { count: 1, contextOf: () => 0 });
    expect(code.encode(symbols)).toEqual(ansCode(table).encode(symbols));
  });

  it("refuses tables and contexts that do not fit each other, and maps that are not whole", () => {
    const contexts = neighbourContexts({ height: 2, width: 2, channels: 1, thresholds: [1] });
    const table = normalizeCounts([3, 1], 9);
    const make = (tables: Uint16Array[], tableOf: Uint8Array, tableLog = 9) =>
      contextAnsCode({ tableLog, tables, tableOf }, contexts);
    expect(() => make([table], new Uint8Array(7))).toThrow(/tableOf.*8 contexts, got 7/);
    expect(() => make([table], new Uint8Array(8).fill(1))).toThrow(/tableOf\[0\]/);
    expect(() => make([table], new Uint8Array(8), 10)).toThrow(/tables\[0\].*2\^10, got 2\^9/);
    expect(() => make([table, normalizeCounts([1, 1, 1], 9)], new Uint8Array(8))).toThrow(
      /tables\[1\].*2 symbols/,
    );
    const code = make([table], new Uint8Array(8));
    expect(() => code.encode([0, 1, 0])).toThrow(RangeError);
    expect(() => code.decode(new Uint8Array(3), 3)).toThrow(RangeError);
    expect(() => code.encode([0, 1, 0, 2])).toThrow(/symbols\[3\]/);
  });
});

describe("learned tables", () => {
  it("merge like contexts and keep unlike ones apart, once there are symbols enough", () => {
    const like = [
      Float64Array.of(900, 100),
      Float64Array.of(90, 10),
      Float64Array.of(100, 900),
      Float64Array.of(0, 0),
    ];
    expect(mergeContexts(like, 11).map(({ contexts }) => contexts)).toEqual([[0, 1], [2]]);
    const few = [Float64Array.of(3, 1), Float64Array.of(1, 2)];
    expect(mergeContexts(few, 11).map(({ contexts }) => contexts)).toEqual([[0, 1]]);
    const many = Array.from({ length: 300 }, (_, i) => Float64Array.of(5000 + 40 * i, 20_000, 17 * i));
    const merged = mergeContexts(many, 14, 5);
    expect(merged).toHaveLength(5);
    expect(merged.flatMap(({ contexts }) => contexts).sort((a, b) => a - b)).toEqual(many.map((_, i) => i));
  });

  it("code every symbol of the alphabet in every context, also those that training never met", () => {
    const contexts = neighbourContexts({ height: 4, width: 4, channels: 2 });
    const code = contextAnsCode(
      learnContextTables(new Uint8Array(32), contexts, { alphabetSize: 5 }),
      contexts,
    );
    const symbols = geometric(64, 0.8, 5);
    expect(code.decode(code.encode(symbols), 64)).toEqual(symbols);
    const untrained = contextAnsCode(learnContextTables([], contexts, { alphabetSize: 5 }), contexts);
    expect(untrained.decode(untrained.encode(symbols), 64)).toEqual(symbols);
  });

  it("survive their bytes, and only their bytes", () => {
    const contexts = neighbourContexts({ height: 8, width: 8, channels: 3 });
    const tables = learnContextTables(featureMap(64, 8, 3), contexts, { alphabetSize: 40, tableLog: 11 });
    const bytes = encodeContextTables(tables);
    expect(decodeContextTables(bytes)).toEqual(tables);
    expect(tables.tables.length).toBeGreaterThan(1);
    for (let end = 0; end < bytes.length; end++) {
      expect(() => decodeContextTables(bytes.subarray(0, end))).toThrow(CorruptInputError);
    }
    expect(() => decodeContextTables(Uint8Array.of(...bytes, 0))).toThrow(CorruptInputError);
  });
});
