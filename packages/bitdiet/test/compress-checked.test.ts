/** What the default asks of answers: as a whole, and only where inputs move them. */
import { expect, test } from "vitest";
import { compressModel } from "../src/compress.js";
import { checkOutputs, compressChecked } from "../src/compress-checked.js";
import type { Model } from "../src/model.js";
import type { Runner, RunTensor } from "../src/networks/runner.js";
import { normals } from "./formats/small-models.js";
import { bytesOf } from "./samples.js";

const [INPUTS, CLASSES] = [16, 8];
const weights = normals(INPUTS * CLASSES, 1);
const model: Model = {
  format: "onnx",
  metadata: {},
  tensors: [
    {
      name: "w",
      dtype: "float32",
      shape: [INPUTS, CLASSES],
      use: { kind: "weight", channelAxis: 1, reason: "" },
      bytes: async () => bytesOf(weights),
    },
  ],
};

/** softmax(gain x w), a row for each of so many steps. */
function runnerOf(steps: number, gain: number): Runner {
  const shape = [1, steps, INPUTS];
  return {
    inputs: [{ name: "x", dtype: "float32", shape }],
    outputs: ["y"],
    layers: [],
    async run(feeds, replaced) {
      const [x, w] = [feeds.get("x")!.data as Float32Array, replaced?.get("w") ?? weights];
      const data = new Float32Array(steps * CLASSES);
      for (let row = 0; row < steps; row++) {
        const powers = Array.from({ length: CLASSES }, (_, c) => {
          let sum = 0;
          for (let i = 0; i < INPUTS; i++) sum += x[row * INPUTS + i] * w[i * CLASSES + c];
          return Math.exp(gain * sum);
        });
        const total = powers.reduce((a, b) => a + b);
        data.set(
          powers.map((power) => power / total),
          row * CLASSES,
        );
      }
      const y: RunTensor = { dtype: "float32", shape: [1, steps, CLASSES], data };
      return new Map([["y", y]]);
    },
    dispose: async () => {},
  };
}

test("the steps of a text are one answer: their divergence is limited together", async () => {
  const compressed = async (steps: number) => {
    const check = await checkOutputs(model, runnerOf(steps, 1));
    expect(check.limits.safe).toBeCloseTo(0.001 / steps, 12);
    expect(check.limits.warning).toBeCloseTo(0.05 / steps, 12);
    return (await compressChecked(model, undefined, check)).report;
  };
  const [word, text] = [await compressed(1), await compressed(40)];
  expect(word.divergence!.value).toBeLessThanOrEqual(0.001);
  expect(text.divergence!.value).toBeLessThanOrEqual(0.001 / 40);
  expect(text.bytes).toBeGreaterThan(word.bytes);
});

test("where no input moves the outputs, the weights alone say how fine", async () => {
  const check = await checkOutputs(model, runnerOf(1, 1e-3));
  expect(check.areMoved).toBe(false);
  expect(check.losses.size).toBe(0);
  expect(check.inputs).toMatch(/made-up inputs, seed 2, which hardly move them/);
  const { report } = await compressChecked(model, undefined, check);
  expect(report.method).toBe("the weights alone");
  expect(report.bytes).toBe((await compressModel(model, { quality: 85 })).bytes.length);
  // Whoever gives inputs knows what they are for.
  const feeds = [1, 2].map(
    (seed) =>
      new Map([["x", { dtype: "float32" as const, shape: [1, 1, INPUTS], data: normals(INPUTS, seed) }]]),
  );
  expect((await checkOutputs(model, runnerOf(1, 1e-3), { feeds })).areMoved).toBe(true);
});
