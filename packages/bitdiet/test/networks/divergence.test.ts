import fc from "fast-check";
import { expect, test } from "vitest";
import { divergence, relativeError } from "../../src/networks/divergence.js";
import type { RunTensor } from "../../src/networks/runner.js";

const outputs = (data: number[], shape: number[], name = "y"): ReadonlyMap<string, RunTensor> =>
  new Map([[name, { dtype: "float32", shape, data: Float32Array.from(data) }]]);

test("rows that sum to one are judged by the mean KL divergence of a row, as its formula has it", () => {
  const reference = [outputs([0.5, 0.5], [1, 2]), outputs([0.25, 0.75], [1, 2])];
  const found = [outputs([0.25, 0.75], [1, 2]), outputs([0.25, 0.75], [1, 2])];
  const { kind, value, agreement } = divergence(found, reference);
  expect(kind).toBe("kl");
  expect(value).toBeCloseTo((0.5 * Math.log(2) + 0.5 * Math.log(2 / 3)) / 2, 6);
  expect(agreement).toBe(0.5);
});

test("a probability alone is yes against no", () => {
  const { kind, value, agreement } = divergence([outputs([0.4, 0.9], [2, 1])], [outputs([0.8, 0.9], [2, 1])]);
  expect(kind).toBe("kl");
  expect(value).toBeCloseTo((0.8 * Math.log(2) + 0.2 * Math.log(0.2 / 0.6)) / 2, 6);
  expect(agreement).toBe(0.5);
});

test("an answer is a row, or all the steps of a text", () => {
  const stepsOf = (...shape: number[]) => {
    const width = shape.at(-1)!;
    const size = shape.reduce((a, b) => a * b, 1);
    const same = [
      outputs(
        Array.from({ length: size }, () => 1 / Math.max(2, width)),
        shape,
      ),
    ];
    return divergence(same, same).steps;
  };
  expect(stepsOf(1, 10)).toBe(1);
  expect(stepsOf(8, 40, 10)).toBe(40);
  expect(stepsOf(40, 1, 10)).toBe(40);
  // Anchors of a detector, and a map of probabilities.
  expect(stepsOf(1, 1917, 10)).toBe(1);
  expect(stepsOf(1, 20, 1)).toBe(1);
  expect(stepsOf(1, 20, 20, 2)).toBe(1);
});

test("logits are judged as the probabilities that they stand for, by their name or by the caller's word", () => {
  const logits = (values: number[], name: string) => [outputs(values, [1, 3], name)];
  const [a, b] = [
    [1, 2, 3],
    [3, 1, 2.5],
  ];
  const softmax = (values: number[]) => {
    const sum = values.reduce((total, value) => total + Math.exp(value), 0);
    return values.map((value) => Math.exp(value) / sum);
  };
  const expected = divergence([outputs(softmax(b), [1, 3])], [outputs(softmax(a), [1, 3])]);
  for (const found of [
    divergence(logits(b, "logits"), logits(a, "logits")),
    divergence(logits(b, "y"), logits(a, "y"), { logits: true }),
  ]) {
    expect(found.value).toBeCloseTo(expected.value, 5);
    expect(found.agreement).toBe(0);
  }
  expect(divergence(logits(b, "y"), logits(a, "y")).kind).toBe("relative");
});

test("other numbers are judged by their squared error over their variance, several outputs by the mean of theirs", () => {
  const both = (y: number[], z: number[]) => [new Map([...outputs(y, [4]), ...outputs(z, [1, 2], "z")])];
  const found = divergence(both([1, 2, 3, 5], [0.6, 0.4]), both([1, 2, 3, 4], [0.5, 0.5]));
  // z does not vary: any error is beyond what its mean would have.
  expect(found).toEqual({ kind: "relative", value: Infinity, steps: 1 });
  const { kind, value } = divergence(both([1, 2, 3, 5], [0.4, 0.6]), both([1, 2, 3, 4], [0.3, 0.7]));
  expect(kind).toBe("relative");
  expect(value).toBeCloseTo((1 / 5 + 0.02 / 0.08) / 2, 5);
});

test("nothing is 0 only for equal outputs, and numbers that are none are infinitely far", () => {
  fc.assert(
    fc.property(fc.array(fc.float({ noNaN: true, min: -100, max: 100 }), { minLength: 2 }), (values) => {
      expect(divergence([outputs(values, [values.length])], [outputs(values, [values.length])]).value).toBe(
        0,
      );
    }),
  );
  expect(relativeError(Float32Array.of(1, NaN), Float32Array.of(1, 2))).toBe(Infinity);
  expect(relativeError(Float32Array.of(1, NaN), Float32Array.of(1, NaN))).toBe(0);
  expect(divergence([outputs([NaN, NaN], [1, 2])], [outputs([0.5, 0.5], [1, 2])]).value).toBe(Infinity);
});

test("outputs of other names, sizes or types are refused", () => {
  const reference = [outputs([1, 2], [2])];
  expect(() => divergence([], reference)).toThrow("expected 1 batches");
  expect(() => divergence([outputs([1, 2], [2], "z")], reference)).toThrow("expected y, got z");
  expect(() => divergence([outputs([1, 2, 3], [3])], reference)).toThrow("y: expected 2 numbers, got 3");
  const ids = [new Map<string, RunTensor>([["ids", { dtype: "int32", shape: [1], data: Int32Array.of(1) }]])];
  expect(() => divergence(ids, ids)).toThrow("expected an output of floats, got ids");
});

test("outputs without any number are equal", () => {
  const empty = [new Map([["y", { dtype: "float32" as const, shape: [0, 3], data: new Float32Array() }]])];
  expect(divergence(empty, empty)).toMatchObject({ value: 0 });
});
