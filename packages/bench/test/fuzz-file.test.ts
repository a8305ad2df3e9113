import { decodeModel } from "bitdiet";
import { expect, it } from "vitest";
import { fuzzFiles } from "../src/fuzz-file.js";

it("finds no hang, no untyped throw and no wrong tensor in a slice of altered files", () => {
  const { failures, cases, refused, other } = fuzzFiles({ cases: 2000, seed: 7 });
  expect(failures).toEqual([]);
  expect(cases).toBe(2000);
  expect(refused).toBeGreaterThan(1700);
  // Some altered files pass for others where their hashes fit: so decoders are tried behind the hashes, too.
  expect(other).toBeGreaterThan(10);
});

it("notices a decoder that gives other values, and one that throws what is no corrupt-input error", () => {
  const few = { cases: 100, seed: 1 };
  const careless = fuzzFiles(few, () => ({
    tensors: [{ name: "x", dtype: "float32", shape: [1], values: new Float32Array(1) }],
  }));
  expect(careless.failures.length).toBeGreaterThan(40);
  const untyped = fuzzFiles(few, (bytes) => {
    try {
      return decodeModel(bytes);
    } catch {
      throw new RangeError("Invalid typed array length");
    }
  });
  expect(untyped.failures.length).toBeGreaterThan(80);
});
