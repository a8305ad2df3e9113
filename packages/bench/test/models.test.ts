import { useBackend } from "@bitdiet/examples/setup";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import type { InputStatistics } from "../../bitdiet/src/quantize/calibration-network.js";
import { calibrationNetwork, outputs, type TensorNetwork } from "../src/models-network.js";
import { random } from "../src/sources.js";

const next = random(1);
const numbers = (count: number) => Float32Array.from({ length: count }, () => 2 * next() - 1);

/** 3x3 with stride 2, ReLU, a residual 1x1 branch, mean: every kind of operation there is. */
function smallNetwork(): TensorNetwork {
  const layers = [
    { name: "a", rows: 4, columns: 27, kernel: [3, 3] as const, weights: numbers(108), biases: numbers(4) },
    { name: "b", rows: 4, columns: 4, kernel: [1, 1] as const, weights: numbers(16), biases: numbers(4) },
  ];
  return {
    layers,
    shape: [8, 8, 3],
    operations: [
      {
        inputs: [0],
        run: ([x], p) => tf.add(tf.conv2d(x as tf.Tensor4D, p!.filter, 2, 1), p!.bias),
        finish: (x) => tf.relu(x),
        layer: { index: 0, kernel: [3, 3], stride: 2, pad: 1 },
      },
      {
        inputs: [1],
        run: ([x], p) => tf.add(tf.conv2d(x as tf.Tensor4D, p!.filter, 1, "same"), p!.bias),
        layer: { index: 1, kernel: [1, 1], stride: 1, pad: "same" },
        addedTo: 1,
      },
      { inputs: [2, 1], run: ([a, b]) => tf.add(a, b) },
      { inputs: [3], run: ([x]) => tf.mean(x, [1, 2]) },
    ],
  };
}

describe("calibrationNetwork", () => {
  const network = smallNetwork();
  const batches = [numbers(5 * 192), numbers(3 * 192)];
  // As many samples as there are positions: nothing is left to chance.
  const options = { seed: 1, samplesPerColumn: 1000, gradientInputs: 4, temperature: 1 };
  beforeAll(() => useBackend("wasm"));

  it("gives second moments of patches and errors that agree with the layers' own outputs", async () => {
    const tensors = tf.memory().numTensors;
    const seen: InputStatistics[] = [];
    const changed = network.layers.map(({ weights, biases }) => ({
      weights: weights.map((w) => Math.round(4 * w) / 4),
      biases,
    }));
    const logits = await calibrationNetwork(network, batches, options).walk((layer, statistics) => {
      seen[layer] = statistics;
      return changed[layer];
    });
    expect(logits).toEqual(outputs(network, batches, changed));
    expect(tf.memory().numTensors).toBe(tensors);
    // Nothing is wrong yet where the first layer looks.
    expect(Math.max(...seen[0].residual.map(Math.abs))).toBeLessThan(1e-6);
    // The mean output of the first layer, before its ReLU, by its weights and the mean patch: as the convolution has it.
    const { weights, biases, columns } = network.layers[0];
    const means = tf.tidy(() => {
      const x = tf.tensor4d([...batches[0], ...batches[1]], [8, 8, 8, 3]);
      const filter = tf.transpose(tf.tensor4d(weights, [4, 3, 3, 3]), [2, 3, 1, 0]);
      const y = tf.add(tf.conv2d(x, filter as tf.Tensor4D, 2, 1), biases) as tf.Tensor4D;
      return {
        first: tf.mean(y, [0, 1, 2]).dataSync(),
        square: tf.mean(tf.square(y), [0, 1, 2]).dataSync(),
      };
    });
    for (let r = 0; r < 4; r++) {
      const row = Float64Array.of(...weights.subarray(r * columns, (r + 1) * columns), biases[r]);
      let [first, square] = [0, 0];
      for (let a = 0; a <= columns; a++) {
        first += row[a] * seen[0].gram[columns * (columns + 1) + a];
        for (let b = 0; b <= columns; b++) square += row[a] * row[b] * seen[0].gram[a * (columns + 1) + b];
      }
      expect(first).toBeCloseTo(means.first[r], 5);
      expect(square).toBeCloseTo(means.square[r], 5);
    }
  });

  it("measures errors after the sum where an output is only added to another branch", async () => {
    const seen: InputStatistics[] = [];
    const zero = { weights: new Float32Array(108), biases: new Float32Array(4) };
    await calibrationNetwork(network, batches, options).walk((layer, statistics) => {
      seen[layer] = statistics;
      return layer === 0 ? zero : network.layers[1];
    });
    // All inputs of the second layer are 0 then; its mean error is what is missing of the whole sum.
    const float = outputs(network, batches);
    for (let r = 0; r < 4; r++) {
      let missing = 0;
      for (let i = 0; i < 8; i++) missing += (float[4 * i + r] - network.layers[1].biases[r]) / 8;
      expect(seen[1].residual[r * 5 + 4]).toBeCloseTo(missing, 5);
    }
  });

  it("projects outputs so that squared gradients add up to the Fisher information", async () => {
    // A single layer without positions: the gradient's second moment is E[v v^T] x x^T, whose trace is tr F |x|^2.
    const dense: TensorNetwork = {
      shape: [1, 1, 3],
      layers: [{ name: "d", rows: 4, columns: 3, kernel: [1, 1], weights: numbers(12), biases: numbers(4) }],
      operations: [
        {
          inputs: [0],
          run: ([x], p) => tf.add(tf.conv2d(x as tf.Tensor4D, p!.filter, 1, "valid"), p!.bias),
          layer: { index: 0, kernel: [1, 1], stride: 1, pad: 0 },
        },
        { inputs: [1], run: ([x]) => tf.reshape(x, [-1, 4]) },
      ],
    };
    const input = numbers(3);
    const images = 2000;
    const batch = new Float32Array(3 * images).map((_, i) => input[i % 3]);
    const one = [batch];
    let sum = 0;
    let count = 0;
    await calibrationNetwork(dense, one, { ...options, gradientInputs: images }).gradients(([g]) => {
      sum += g.reduce((total, x) => total + x * x, 0);
      count++;
    });
    expect(count).toBe(images / 4);
    const logits = outputs(dense, [input]);
    const exponentials = logits.map(Math.exp);
    const total = exponentials.reduce((a, b) => a + b, 0);
    const fisher = exponentials.reduce((trace, e) => trace + (e / total) * (1 - e / total), 0);
    const energy = input.reduce((a, b) => a + b * b, 0);
    expect(sum / count / (fisher * energy)).toBeGreaterThan(0.85);
    expect(sum / count / (fisher * energy)).toBeLessThan(1.15);
  });
});
