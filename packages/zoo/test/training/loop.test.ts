import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { normal, uniform } from "../../src/data/random.js";
import { wholeBatches } from "../../src/data/whole-batches.js";
import { readCheckpoint, writeCheckpoint } from "../../src/nets/checkpoint-file.js";
import { useBackend } from "../../src/training/backend.js";
import { type Checkpoint, gradientsOf, type Loss, linearWarmUp, train } from "../../src/training/loop.js";
import { sgd } from "../../src/training/optimizers.js";

beforeAll(() => useBackend("cpu"));
let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "train-"))));
afterEach(() => rmSync(folder, { recursive: true }));

const STEPS = 12;
const TRUTH = [1, -2, 0.5];

/** Least squares on noisy data drawn by the step; two groups, the bias with another optimizer. */
async function run(checkpoint?: Checkpoint, failAt = Infinity, steps = STEPS): Promise<number[]> {
  const [w, bias] = tf.tidy(() => [tf.variable(tf.zeros([3, 1])), tf.variable(tf.zeros([1]))]);
  const loss: Loss = (step, _, log) => {
    if (step === failAt) throw new Error("interrupted");
    const gaussian = normal(uniform(step));
    const x = tf.tensor2d(
      Float32Array.from({ length: 24 }, () => gaussian()),
      [8, 3],
    );
    const y = tf.add(tf.matMul(x, tf.tensor2d(TRUTH, [3, 1])), 0.25);
    const error = tf.sub(tf.add(tf.matMul(x, w as tf.Tensor2D), bias), y);
    const squares = tf.mean(tf.square(error)) as tf.Scalar;
    log("squares", squares);
    return squares;
  };
  try {
    await train({
      task: "test",
      steps,
      groups: [
        { variables: [w], learningRate: 0.3 },
        { variables: [bias], learningRate: 0.1, optimizer: sgd() },
      ],
      gradients: gradientsOf(loss),
      checkpoint,
    });
    return [...w.dataSync(), ...bias.dataSync()];
  } finally {
    tf.dispose([w, bias]);
  }
}

describe("train", () => {
  it("finds the least squares, and leaves no tensor behind", async () => {
    const before = tf.memory().numTensors;
    const found = await run(undefined, Infinity, 200);
    for (const [i, value] of [...TRUTH, 0.25].entries()) expect(found[i]).toBeCloseTo(value, 1);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("ends a run that was interrupted and resumed exactly as one that was not", async () => {
    const path = join(folder, "state.safetensors");
    await expect(run({ path, every: 5, resume: false }, 7)).rejects.toThrow("interrupted");
    const resumed = await run({ path, every: 5, resume: true });
    expect(resumed).toEqual(await run());
    expect(readdirSync(folder)).toEqual(["state.safetensors"]);
  });

  it("starts from the beginning where it is told to resume and there is nothing", async () => {
    expect(await run({ path: join(folder, "none.safetensors"), every: 5, resume: true })).toEqual(
      await run(),
    );
  });

  it("doesn't go on from a run of another length", async () => {
    const path = join(folder, "state.safetensors");
    await run({ path, every: 5, resume: false });
    await expect(run({ path, every: 5, resume: true }, Infinity, STEPS + 1)).rejects.toThrow(
      "expected a run of 13 steps, got one of 12",
    );
  });

  it("doesn't go on from a file in which any bit of a number, a count or the version changed", async () => {
    const path = join(folder, "state.safetensors");
    const resumed = () => run({ path, every: 5, resume: true });
    await run({ path, every: 5, resume: false });
    const bytes = readFileSync(path);
    for (const [from, to] of [
      ['"done":"12"', '"done":"11"'],
      ['"done":"12"', '"done":"no"'],
      ['"sha256":"', '"sha255":"'],
      ['"version":"1"', '"version":"0"'],
    ]) {
      const at = bytes.indexOf(from);
      const altered = Buffer.concat([
        bytes.subarray(0, at),
        Buffer.from(to),
        bytes.subarray(at + from.length),
      ]);
      writeFileSync(path, altered);
      await expect(resumed()).rejects.toThrow(/state\.safetensors: (damaged|expected version 1)/);
    }
    for (let bit = 0; bit < 32; bit++) {
      const altered = Buffer.from(bytes);
      altered[altered.length - 1 - (bit >> 3)] ^= 1 << (bit & 7);
      writeFileSync(path, altered);
      await expect(resumed()).rejects.toThrow(`${path}: damaged, its checksum is another`);
    }
    writeFileSync(path, bytes);
    expect(await resumed()).toEqual(await run());
  });

  it("leaves the last good file, and nothing beside it, where a new one cannot be written", async () => {
    const path = join(folder, "state.safetensors");
    await expect(writeCheckpoint(folder, {})).rejects.toThrow();
    await run({ path, every: 5, resume: false });
    expect(readdirSync(folder)).toEqual(["state.safetensors"]);
    expect(readdirSync(dirname(folder)).filter((name) => name.includes(`-${process.pid}-`))).toEqual([]);
  });

  it("writes no state with values that are no numbers, though the loss is one: the last good file stays", async () => {
    const path = join(folder, "state.safetensors");
    const w = tf.variable(tf.tensor1d([1, 4]), true, "conv1.weight");
    // The root's gradient at 0 is no number, times 0: the loss is 0 all the same.
    const loss: Loss = (step) =>
      tf.mean(step === 3 ? tf.mul(tf.sqrt(tf.mul(w, 0)), 0) : tf.mul(w, 0)) as tf.Scalar;
    const training = {
      task: "bad",
      groups: [{ variables: [w], learningRate: 0.1 }],
      gradients: gradientsOf(loss),
    };
    await expect(
      train({ ...training, steps: 5, checkpoint: { path, every: 1, resume: false } }),
    ).rejects.toThrow("bad: conv1.weight holds values that are no numbers after step 3.");
    expect((await readCheckpoint(path)).metadata["done"]).toBe("3");
    w.dispose();
  });

  it("refuses to train no step, as where there is less data than a batch", async () => {
    await expect(run(undefined, Infinity, 0)).rejects.toThrow(
      "test: expected a whole number of steps, 1 or more, got 0.",
    );
  });

  it("names the step at which the loss stops being a number, and the tensor", async () => {
    const w = tf.variable(tf.scalar(1), true, "conv1.weight");
    const gradients = gradientsOf((step) => tf.mul(w, step === 3 ? NaN : 1));
    const training = { task: "bad", steps: 5, groups: [{ variables: [w], learningRate: 0.1 }], gradients };
    await expect(train(training)).rejects.toThrow(
      "bad: the loss became NaN at step 3; the gradient of conv1.weight is no number.",
    );
    w.dispose();
  });
});

it("says so where there is less data than a batch", () => {
  expect(wholeBatches(65, 32)).toBe(2);
  for (const count of [31, 0, NaN])
    expect(() => wholeBatches(count, 32)).toThrow(
      `training data: expected 32 examples or more, one batch, got ${count}.`,
    );
});

it("warms up to 1 at its share of the run, and ends at 0", () => {
  const schedule = linearWarmUp(0.1);
  expect([0, 0.05, 0.1, 0.55, 1].map((progress) => +schedule(progress).toFixed(6))).toEqual([
    0, 0.5, 1, 0.5, 0,
  ]);
});
