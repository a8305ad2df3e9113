import * as tf from "@tensorflow/tfjs-core";
import { expect, it } from "vitest";
import {
  affineFromRange,
  affineQuantizer,
  clipQuantizer,
  codebookQuantizer,
  lsqInitialScale,
  lsqScale,
  mseRange,
  type Quantizer,
} from "../src/index.js";
import { normal, onEachBackend } from "./setup.js";

onEachBackend(() => {
  const grid = { bits: 3, signed: true };
  const data = normal(2000, 30);

  /** Mean squared error after `steps` of gradient descent on what the quantizer learns, rebuilt each step. */
  function descend(
    x: tf.Tensor,
    learned: tf.Variable,
    steps: number,
    rate: number,
    build: () => Quantizer,
  ): number {
    const loss = () => tf.losses.meanSquaredError(x, build().fakeQuantize(x)) as tf.Scalar;
    const optimizer = tf.train.sgd(rate);
    const before = tf.memory().numTensors;
    for (let step = 0; step < steps; step++) {
      optimizer.minimize(loss, false, [learned]);
      expect(tf.memory().numTensors).toBe(before);
    }
    const error = tf.tidy(loss).dataSync()[0];
    optimizer.dispose();
    learned.dispose();
    return error;
  }

  it("a learned scale finds the step of least error, from LSQ's start and from a bad one", () => {
    const x = tf.tensor1d(data);
    const best = affineQuantizer(affineFromRange(mseRange(data, grid), grid));
    const least = tf.losses.meanSquaredError(x, best.fakeQuantize(x)).dataSync()[0];
    for (const start of [lsqInitialScale(data, grid), 0.05]) {
      const s = tf.variable(tf.scalar(start));
      const error = descend(x, s, 200, 0.05, () => affineQuantizer({ ...grid, scale: lsqScale(s, 1, grid) }));
      expect(error).toBeLessThan(1.02 * least);
    }
  });

  it("a learned clip opens until little is cut off", () => {
    const x = tf.tensor1d(data.map(Math.abs));
    const clip = tf.variable(tf.scalar(0.5));
    const closed = tf.losses
      .meanSquaredError(x, clipQuantizer({ bits: 4, clip: 0.5 }).fakeQuantize(x))
      .dataSync()[0];
    const error = descend(x, clip, 100, 2, () => clipQuantizer({ bits: 4, clip }));
    expect(error).toBeLessThan(0.03 * closed);
  });

  it("learned centers become k-means centers, each the mean of its members", () => {
    const x = tf.tensor1d(data);
    const centers = tf.variable(tf.tensor1d([-0.3, -0.1, 0.1, 0.3]));
    const error = descend(x, centers, 200, 0.8, () => codebookQuantizer(centers as unknown as tf.Tensor1D));
    expect(error).toBeLessThan(0.125); // Lloyd-Max quantization of a Gauss source to four levels: 0.1175
  });
});
