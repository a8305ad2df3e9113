import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { useBackend } from "../../src/training/backend.js";
import { startWorkers } from "../../src/training/data-parallel.js";
import { type Gradients, gradientsOf, train } from "../../src/training/loop.js";
import { sgd } from "../../src/training/optimizers.js";
import { problem } from "./least-squares-replica.js";

beforeAll(() => useBackend("cpu"));

const module = new URL("./least-squares-replica.ts", import.meta.url);
const start = (workers: number, failAt = -1, endAt = -1) =>
  startWorkers({ module, options: { failAt, endAt }, workers, backend: "cpu" });

/** Trains 10 steps with these gradients, or with those of one thread. */
async function trained(gradients?: Gradients): Promise<Float32Array[]> {
  const { variables, loss } = problem({ index: 0, count: 1 });
  try {
    await train({
      task: "parallel",
      steps: 10,
      groups: [{ variables, learningRate: 0.1, optimizer: sgd() }],
      gradients: gradients ?? gradientsOf(loss),
    });
    return variables.map((variable) => variable.dataSync<"float32">().slice());
  } finally {
    tf.dispose(variables);
  }
}

describe("data-parallel training", () => {
  it("ends where one thread ends, up to rounding, and leaves no tensor behind", async () => {
    const alone = await trained();
    const before = tf.memory().numTensors;
    const { gradients, stop } = await start(2);
    const together = await trained(gradients);
    await stop();
    for (const [i, values] of together.entries()) {
      for (const [j, value] of values.entries()) expect(value).toBeCloseTo(alone[i][j], 5);
    }
    expect(Math.abs(together[0][0])).toBeGreaterThan(0.1);
    expect(tf.memory().numTensors).toBe(before);
  });

  it("ends at the same bits on one thread, on two, on three and on more than there are shares", async () => {
    const runs: Float32Array[][] = [];
    for (const workers of [1, 2, 3, 9]) {
      const { gradients, stop } = await start(workers);
      runs.push(await trained(gradients));
      await stop();
    }
    for (const run of runs.slice(1)) expect(run).toEqual(runs[0]);
  });

  it("fails with the worker's own error", async () => {
    const { gradients, stop } = await start(2, 3);
    await expect(trained(gradients)).rejects.toThrow("no data at step 3");
    await stop();
  });

  it("fails where a worker ends without a word, at its step and at any later one", async () => {
    const { gradients, stop } = await start(2, -1, 3);
    await expect(trained(gradients)).rejects.toThrow("a worker thread ended (7) before it answered");
    await expect(trained(gradients)).rejects.toThrow("a worker thread ended before it answered");
    await stop();
  });
});
