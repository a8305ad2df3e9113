import { expect, test } from "vitest";
import type { Model, ModelTensor } from "../../src/model.js";
import { finenessOffsets } from "../../src/quantize/allocated.js";
import { interpolated } from "../../src/quantize/losses.js";

const tensor = (name: string, kind: "weight" | "embedding" = "weight"): ModelTensor => ({
  name,
  dtype: "float32",
  shape: [10, 10],
  use: { kind, channelAxis: 0, reason: "" },
  bytes: async () => new Uint8Array(400),
});
const model = (...tensors: ModelTensor[]): Model => ({ format: "onnx", metadata: {}, tensors });

test("four times the loss takes a bit more, about the mean of all weights", () => {
  const offsets = finenessOffsets(
    model(tensor("a"), tensor("b")),
    new Map([
      ["a", 4],
      ["b", 1],
    ]),
  );
  expect(offsets.get("a")).toBeCloseTo(0.5, 12);
  expect(offsets.get("b")).toBeCloseTo(-0.5, 12);
});

test("of what moves no output nothing is known: it is as fine as the mean, which it does not move", () => {
  const losses = new Map([
    ["a", 4],
    ["b", 1],
    ["the other branch", 0],
  ]);
  const offsets = finenessOffsets(model(tensor("a"), tensor("b"), tensor("the other branch")), losses);
  expect(offsets.has("the other branch")).toBe(false);
  expect(offsets.get("a")).toBeCloseTo(0.5, 12);
});

test("tables of embeddings are never coarser than the mean", () => {
  const offsets = finenessOffsets(
    model(tensor("a"), tensor("t", "embedding")),
    new Map([
      ["a", 1],
      ["t", 1e-9],
    ]),
  );
  expect(offsets.get("t")).toBeCloseTo(0, 12);
});

test("tensors that were not measured lose what lies between their neighbours, whatever moved nothing aside", () => {
  const measured = new Map([
    ["b", 1],
    ["d", 0],
    ["f", 16],
  ]);
  const all = interpolated([..."abcdefg"], measured);
  expect([...all.keys()].sort().join("")).toBe("abcdefg");
  const expected = { a: 1, b: 1, c: 2, d: 0, e: 8, f: 16, g: 16 };
  for (const [name, loss] of Object.entries(expected)) expect(all.get(name)).toBeCloseTo(loss, 12);
  expect(interpolated(["a"], new Map()).size).toBe(0);
});
