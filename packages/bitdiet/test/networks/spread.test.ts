import { expect, test } from "vitest";
import type { RunTensor } from "../../src/networks/runner.js";
import { spread } from "../../src/networks/spread.js";

const outputs = (data: number[], shape: number[], name = "y"): ReadonlyMap<string, RunTensor> =>
  new Map([[name, { dtype: "float32", shape, data: Float32Array.from(data) }]]);

test("the spread of distributions is the mutual information of inputs and answers, in nats", () => {
  expect(spread([outputs([1, 0], [1, 2]), outputs([0, 1], [1, 2])])).toBeCloseTo(Math.log(2), 6);
  expect(spread([outputs([0.3, 0.7], [1, 2]), outputs([0.3, 0.7], [1, 2])])).toBeCloseTo(0, 12);
  // H(1/2) - (H(1/4) + H(3/4)) / 2
  const entropy = (p: number) => -p * Math.log(p) - (1 - p) * Math.log(1 - p);
  const expected = Math.log(2) - entropy(0.25);
  expect(spread([outputs([0.25], [1, 1]), outputs([0.75], [1, 1])])).toBeCloseTo(expected, 6);
  const logits = [outputs([Math.log(3), 0], [1, 2], "logits"), outputs([0, Math.log(3)], [1, 2], "logits")];
  expect(spread(logits)).toBeCloseTo(expected, 6);
});

test("the spread of other numbers is their variance over their mean square", () => {
  expect(spread([outputs([1, 3], [2])])).toBeCloseTo(1 / 5, 12);
  expect(spread([outputs([5, 5, 5], [3])])).toBeCloseTo(0, 12);
  expect(spread([outputs([0, 0, 0], [3])])).toBe(0);
});
