import { expect, test } from "vitest";
import { compressToPieces } from "../src/compress.js";
import { encodedModel, roundedModel } from "../src/encoded-model.js";
import { floatBytes } from "../src/formats/floats.js";
import { openBitdiet } from "../src/loaders/open.js";
import { joinPieces, openSource } from "../src/loaders/source.js";
import type { FloatDtype, Model, ModelTensor } from "../src/model.js";
import { fromWeights } from "../src/quantize/from-weights.js";

const weight = (name: string, dtype: FloatDtype, shape: number[], value: (i: number) => number) => {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => value(i));
  const bytes = floatBytes(dtype, values);
  const use = { kind: "weight", channelAxis: 0, reason: "a test's" } as const;
  return { name, dtype, shape, use, bytes: async () => bytes } satisfies ModelTensor;
};
const wave = (i: number) => Math.sin(i * i * 0.37) * (1 + (i % 5));
const model: Model = {
  format: "safetensors",
  metadata: { header: new Uint8Array(4) },
  tensors: [
    weight("float32", "float32", [16, 40], wave),
    weight("float16", "float16", [16, 40], wave),
    weight("bfloat16", "bfloat16", [16, 40], wave),
    weight("float64", "float64", [16, 40], wave),
    weight("two values", "float32", [16, 40], (i) => (i % 3 === 0 ? 0.5 : -0.25)),
    weight("zeros", "float32", [16, 40], () => 0),
    { ...weight("bias", "float32", [40], wave), use: { kind: "vector", reason: "a bias" } },
    { ...weight("table", "float32", [40], wave), use: { kind: "exact", reason: "a table" } },
  ],
};
const valuesOf = async ({ tensors }: Model) =>
  Promise.all(tensors.map(async ({ name, bytes }) => [name, new Uint8Array(await bytes())]));

test.each([2, 4, 6, 9])("a trial of %s bits has the very values that its file decodes to", async (bits) => {
  const lambda = 4 ** -bits;
  const made = await fromWeights(model)(lambda);
  const { pieces } = await encodedModel(model, made, lambda);
  const { model: decoded } = await openBitdiet(await openSource(joinPieces(pieces)));
  expect(await valuesOf(roundedModel(model, made, lambda))).toEqual(await valuesOf(decoded));
});

test("a limit on the divergence is kept by what was decoded, and only the last trial is coded", async () => {
  let judged = 0;
  const judge = async (made: Model) => {
    judged++;
    const [[, exact], [, rounded]] = [await valuesOf(model), await valuesOf(made)].map(([first]) => first);
    const [a, b] = [exact, rounded].map((bytes) => new Float32Array((bytes as Uint8Array).buffer));
    const value = a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0) / a.length;
    return { kind: "relative" as const, value, agreement: 1 };
  };
  const encodings: string[] = [];
  const { report } = await compressToPieces(
    model,
    { divergence: 1e-4 },
    { judge, onProgress: (step, done) => void (done === 0 && encodings.push(step)) },
  );
  expect(report.divergence!.value).toBeLessThanOrEqual(1e-4);
  expect(report.divergence!.value).toBeGreaterThan(0.8e-4);
  expect(judged).toBeGreaterThan(2);
  expect(encodings.filter((step) => step === "encoding")).toHaveLength(1);
});
