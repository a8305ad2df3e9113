import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { useBackend } from "../../src/training/backend.js";
import { adam, type OptimizerOf, sgd } from "../../src/training/optimizers.js";

beforeAll(() => useBackend("cpu"));

/** w after the gradients 0.5, -0.25, 1 at learning rates 0.1, 0.1, 0.05, from w = 2. */
function descend(optimizerOf: OptimizerOf): number {
  const w = tf.variable(tf.tensor1d([2]));
  const optimizer = optimizerOf([w]);
  for (const [gradient, learningRate] of [
    [0.5, 0.1],
    [-0.25, 0.1],
    [1, 0.05],
  ]) {
    const g = tf.tensor1d([gradient]);
    optimizer.update([g], learningRate);
    g.dispose();
  }
  const [result] = w.dataSync();
  tf.dispose([w, ...optimizer.state]);
  return result;
}

describe("adam", () => {
  it("gives the same floats as tfjs's Adam", () => {
    const reference = tf.train.adam(0.05, 0.9, 0.99);
    const mine = tf.variable(tf.tensor1d([1, -2, 3]));
    const theirs = tf.variable(tf.tensor1d([1, -2, 3]));
    const optimizer = adam({ beta2: 0.99 })([mine]);
    const loss = (w: tf.Variable) => () => tf.sum(tf.square(tf.sub(w, [0.5, 0.25, -0.75]))) as tf.Scalar;
    for (let step = 0; step < 20; step++) {
      const a = tf.variableGrads(loss(theirs), [theirs]);
      reference.applyGradients([{ name: theirs.name, tensor: a.grads[theirs.name] }]);
      const b = tf.variableGrads(loss(mine), [mine]);
      optimizer.update([b.grads[mine.name]], 0.05);
      tf.dispose([a, b]);
    }
    expect(mine.dataSync()).toEqual(theirs.dataSync());
    tf.dispose([mine, theirs, ...optimizer.state]);
    reference.dispose();
  });

  it("decays weights apart from the gradient, as torch.optim.AdamW does", () => {
    // By hand from Loshchilov and Hutter's algorithm 2, in float64.
    let [w, m, v] = [2, 0, 0];
    for (const [t, [g, lr]] of [
      [0.5, 0.1],
      [-0.25, 0.1],
      [1, 0.05],
    ].entries()) {
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      const step = m / (1 - 0.9 ** (t + 1)) / (Math.sqrt(v / (1 - 0.999 ** (t + 1))) + 1e-7);
      w = w * (1 - lr * 0.2) - lr * step;
    }
    expect(descend(adam({ weightDecay: 0.2 }))).toBeCloseTo(w, 5);
    expect(descend(adam())).not.toBeCloseTo(w, 2);
  });
});

describe("sgd", () => {
  it("keeps momentum and adds the decay to the gradient, as torch.optim.SGD does", () => {
    // v: 0.52, 0.9 * 0.52 - 0.25 + 0.01 * 1.948, …
    let [w, v] = [2, 0];
    for (const [g, lr] of [
      [0.5, 0.1],
      [-0.25, 0.1],
      [1, 0.05],
    ]) {
      v = 0.9 * v + g + 0.01 * w;
      w -= lr * v;
    }
    expect(descend(sgd({ momentum: 0.9, weightDecay: 0.01 }))).toBeCloseTo(w, 5);
  });
});

it("leaves a variable without a gradient as it is, and no tensor behind", () => {
  const before = tf.memory().numTensors;
  for (const optimizerOf of [adam({ weightDecay: 0.1 }), sgd({ weightDecay: 0.1 })]) {
    const variables = tf.tidy(() => [1, 5].map((value) => tf.variable(tf.tensor1d([value]))));
    const optimizer = optimizerOf(variables);
    const gradient = tf.tensor1d([1]);
    const during = tf.memory().numTensors;
    optimizer.update([gradient, undefined], 0.1);
    expect(tf.memory().numTensors).toBe(during);
    expect(variables[0].dataSync()[0]).toBeLessThan(1);
    expect(variables[1].dataSync()[0]).toBe(5);
    tf.dispose([gradient, ...variables, ...optimizer.state]);
  }
  expect(tf.memory().numTensors).toBe(before);
});
