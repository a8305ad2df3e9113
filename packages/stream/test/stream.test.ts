import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { expect, describe as group, it } from "vitest";
import {
  CorruptInputError,
  checkedMaxLength,
  corrupt,
  describe,
  numberBytes,
  readNumber,
  writeNumber,
} from "../src/index.js";

group("LEB128", () => {
  it("writes the bytes of the DWARF standard's examples", () => {
    for (const [number, bytes] of [
      [2, [2]],
      [127, [127]],
      [128, [0x80, 1]],
      [129, [0x81, 1]],
      [12857, [0xb9, 0x64]],
    ] as const) {
      const written: number[] = [];
      writeNumber(written, number);
      expect(written).toEqual(bytes);
    }
  });

  it("reads what it wrote, and says how long that is, up to 2^49 - 1", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 49 - 1 })), (numbers) => {
        const bytes: number[] = [];
        for (const number of numbers) writeNumber(bytes, number);
        expect(bytes.length).toBe(numbers.reduce((sum, number) => sum + numberBytes(number), 0));
        let at = 0;
        expect(numbers.map(() => readNumber(() => bytes[at++]))).toEqual(numbers);
        expect(at).toBe(bytes.length);
      }),
    );
  });

  it("refuses numbers that end early, are too long, or have a shorter form", () => {
    for (const bytes of [[], [0x80], [0x80, 0], [0x81, 0x80, 0], Array(7).fill(0x80).concat(1)]) {
      let at = 0;
      expect(() => readNumber(() => bytes[at++])).toThrow(new CorruptInputError("header: number"));
    }
  });
});

group("CorruptInputError", () => {
  it("is an instance of every copy of its class, and of Error", () => {
    class CorruptInputErrorOfAnotherBundle extends Error {
      override name = "CorruptInputError";
    }
    expect(new CorruptInputErrorOfAnotherBundle("x")).toBeInstanceOf(CorruptInputError);
    expect(new CorruptInputError("x")).toBeInstanceOf(Error);
    expect(() => corrupt("why")).toThrow(new CorruptInputError("why"));
  });

  it("is nothing else", () => {
    for (const other of [new Error("x"), null, undefined, "CorruptInputError", {}]) {
      expect(other instanceof CorruptInputError).toBe(false);
    }
  });
});

it("describes values by their kind, those of other realms too", () => {
  expect(
    [null, undefined, 1, "a", [], {}, new Int8Array(1), runInNewContext("new Uint8Array(1)")].map(describe),
  ).toEqual(["Null", "Undefined", "Number", "String", "Array", "Object", "Int8Array", "Uint8Array"]);
});

it("gives out 2^24 values and 256 more per byte, unless told", () => {
  expect(checkedMaxLength(undefined, new Uint8Array(3))).toBe(2 ** 24 + 768);
  expect(checkedMaxLength(Infinity, new Uint8Array(3))).toBe(Infinity);
  expect(checkedMaxLength(0, new Uint8Array(3))).toBe(0);
  expect(() => checkedMaxLength(-1, new Uint8Array(3))).toThrow(RangeError);
  expect(() => checkedMaxLength(Number.NaN, new Uint8Array(3))).toThrow(
    "maxLength: expected at least 0, got NaN",
  );
});
