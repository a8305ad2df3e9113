import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { heapOf } from "../src/heap.js";
import { registerTrainingKernels } from "../src/index.js";
import { expectSameOnCpu, randomSource, randomTensor } from "./backends.js";
import {
  convolutionCases,
  depthwiseCases,
  einsumCases,
  elementaryCases,
  matMulCases,
  poolingCases,
  registeredGradientCases,
  segmentCases,
} from "./gradient-cases.js";

beforeAll(async () => {
  registerTrainingKernels();
  await tf.setBackend("wasm");
  expect(heapOf(tf.backend())).not.toBeNull();
});

describe("on the shared heap the kernels equal the cpu backend's", () => {
  it("convolution, forward and both gradients, over random shapes, strides and paddings", async () => {
    for (const { label, compute } of convolutionCases(60, 100)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("depthwise gradients over random shapes, strides, paddings, dilations and multipliers", async () => {
    for (const { label, compute } of depthwiseCases(60, 200)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("pooling gradients, also where a window holds negative values alone", async () => {
    for (const { label, compute } of poolingCases(60, 300)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("matrix products with transposes, batches and broadcasting, and their gradients", async () => {
    for (const { label, compute } of matMulCases(60, 400)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("gradients of gather, and segment sums that drop ids outside the range", async () => {
    for (const { label, compute } of segmentCases(30, 500)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("einsum of one and two tensors", async () => {
    for (const { label, compute } of einsumCases()) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("sums, slices, casts, dense layers, losses", async () => {
    for (const { label, compute } of elementaryCases()) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("every kind of gradient that tfjs registers for training", async () => {
    for (const { label, compute } of registeredGradientCases()) await expectSameOnCpu(compute, 5e-5, label);
  });
});

describe("kernels one by one", () => {
  it("the largest convolution of ResNet-20 is within 1e-5 of a direct sum in float64", async () => {
    await tf.setBackend("wasm");
    const random = randomSource(1);
    const [size, inputs, outputs] = [8, 64, 64];
    const x = randomTensor<tf.Rank.R4>([2, size, size, inputs], random);
    const filter = randomTensor<tf.Rank.R4>([3, 3, inputs, outputs], random);
    const [xs, filters, ys] = [x.dataSync(), filter.dataSync(), tf.conv2d(x, filter, 1, 1).dataSync()];
    let worst = 0;
    let largest = 0;
    for (let position = 0; position < ys.length; position += 37) {
      const o = position % outputs;
      const column = Math.floor(position / outputs) % size;
      const row = Math.floor(position / outputs / size) % size;
      const image = Math.floor(position / outputs / size / size);
      let sum = 0;
      for (let r = 0; r < 3; r++) {
        for (let s = 0; s < 3; s++) {
          const [y, z] = [row + r - 1, column + s - 1];
          if (y < 0 || y >= size || z < 0 || z >= size) continue;
          for (let i = 0; i < inputs; i++) {
            const pixel = xs[((image * size + y) * size + z) * inputs + i];
            sum += pixel * filters[((r * 3 + s) * inputs + i) * outputs + o];
          }
        }
      }
      worst = Math.max(worst, Math.abs(sum - ys[position]));
      largest = Math.max(largest, Math.abs(sum));
    }
    expect(worst / largest).toBeLessThan(1e-5);
  });

  it("exp and erf are right to float32 from the smallest to the largest arguments", async () => {
    await tf.setBackend("wasm");
    const xs = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 23);
    const exponentials = tf.exp(tf.tensor1d(xs)).dataSync();
    for (const [i, x] of xs.entries()) {
      const expected = Math.fround(Math.exp(x));
      // Numbers below 2.5e-38 come out as 0.
      expect(Math.abs(exponentials[i] - expected)).toBeLessThanOrEqual(4e-7 * expected + 2.5e-38);
    }
    const special = tf.tensor1d([
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      88.72,
      89,
      0,
      -0,
    ]);
    const [notANumber, infinite, zero, large, overflow, one, alsoOne] = tf.exp(special).dataSync();
    expect(notANumber).toBeNaN();
    expect([infinite, zero, overflow, one, alsoOne]).toEqual([Infinity, 0, Infinity, 1, 1]);
    expect(large / 3.4e38).toBeCloseTo(1, 1);
    const erfs = tf.erf(tf.tensor1d([0.5, 1, 2, 4, -1, Infinity, Number.NaN])).dataSync();
    const expected = [0.5204998778, 0.8427007929, 0.995322265, 0.99999998458, -0.8427007929, 1];
    for (const [i, value] of expected.entries()) expect(Math.abs(erfs[i] - value)).toBeLessThan(3e-7);
    expect(erfs[6]).toBeNaN();
  });

  it("a clone shares its data and outlives the original", async () => {
    await tf.setBackend("wasm");
    const x = tf.tensor1d([1, 2, 3]);
    const copy = tf.clone(x);
    const flat = tf.cast(copy, "float32");
    x.dispose();
    const overwriting = tf.tensor1d([7, 8, 9]);
    expect([...copy.dataSync()]).toEqual([1, 2, 3]);
    copy.dispose();
    expect([...flat.dataSync()]).toEqual([1, 2, 3]);
    tf.dispose([flat, overwriting]);
  });

  it("an index out of range is an error, not a read behind the tensor", async () => {
    await tf.setBackend("wasm");
    const x = tf.tensor2d([[1, 2]]);
    expect(() => tf.gather(x, tf.tensor1d([1], "int32"))).toThrow(/1 is not in \[0, 0\]/);
    expect(() => tf.matMul(tf.ones([2, 3]), tf.ones([2, 3]))).toThrow(/inner/i);
  });
});

describe("registering", () => {
  it("twice changes nothing and warns of nothing", async () => {
    const names = ["Conv2DBackpropFilter", "BatchMatMul", "Identity"];
    const before = names.map((name) => tf.getKernel(name, "wasm"));
    const warnings: unknown[] = [];
    const { warn } = console;
    console.warn = (...parts) => warnings.push(parts);
    registerTrainingKernels();
    console.warn = warn;
    expect(names.map((name) => tf.getKernel(name, "wasm"))).toEqual(before);
    expect(warnings).toEqual([]);
  });

  it("leaves the kernels of other backends alone", () => {
    expect(tf.getKernel("BatchNormTraining", "cpu")).toBeUndefined();
    expect(tf.getKernel("Identity", "cpu")).not.toBe(tf.getKernel("Identity", "wasm"));
  });
});

describe("memory", () => {
  it("fifty training steps leak no tensor and do not grow the heap", async () => {
    await tf.setBackend("wasm");
    const random = randomSource(5);
    const parameters = [
      [3, 3, 3, 8],
      [3, 3, 8, 8],
      [3, 3, 8, 1],
      [8, 4],
    ].map((shape) => tf.variable(randomTensor(shape, random)));
    const [gamma, beta] = [tf.variable(tf.ones([8])), tf.variable(tf.zeros([8]))];
    const x = randomTensor<tf.Rank.R4>([4, 12, 12, 3], random);
    const labels = tf.oneHot(tf.tensor1d([0, 1, 2, 3], "int32"), 4);
    const optimizer = tf.train.sgd(0.05);
    const { batchNorm, gelu, layerNorm } = await import("../src/index.js");
    const loss = () => {
      const [first, second, depthwise, dense] = parameters as tf.Tensor[];
      let y: tf.Tensor = tf.relu(
        batchNorm(
          tf.conv2d(x, first as tf.Tensor4D, 2, "same"),
          tf.add(gamma, 0) as tf.Tensor1D,
          beta as tf.Tensor1D,
          1e-5,
        ).output,
      );
      y = tf.maxPool(tf.conv2d(y as tf.Tensor4D, second as tf.Tensor4D, 1, "same"), 2, 2, "same");
      y = tf.mean(tf.depthwiseConv2d(y as tf.Tensor4D, depthwise as tf.Tensor4D, 1, "same"), [1, 2]);
      y = layerNorm(gelu(y), gamma as tf.Tensor1D, beta as tf.Tensor1D, 1e-5);
      return tf.losses.softmaxCrossEntropy(labels, tf.matMul(y, dense)) as tf.Scalar;
    };
    const step = () => {
      const value = optimizer.minimize(loss, true) as tf.Scalar;
      const number = value.dataSync()[0];
      value.dispose();
      return number;
    };
    const first = step();
    step();
    const backend = tf.backend() as unknown as { wasm: { HEAPU8: Uint8Array } };
    const tensors = tf.memory().numTensors;
    const bytes = backend.wasm.HEAPU8.length;
    let last = 0;
    for (let i = 0; i < 50; i++) last = step();
    expect(tf.memory().numTensors).toBe(tensors);
    expect(backend.wasm.HEAPU8.length).toBe(bytes);
    expect(last).toBeLessThan(first);
  });

  it("the same step gives the same bits, twice", async () => {
    await tf.setBackend("wasm");
    const run = () =>
      tf.tidy(() => {
        const random = randomSource(6);
        const x = randomTensor<tf.Rank.R4>([3, 9, 9, 8], random);
        const filter = randomTensor<tf.Rank.R4>([3, 3, 8, 12], random);
        const gradients = tf.grads((a, b) => tf.relu(tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 1, 1)))([
          x,
          filter,
        ]);
        return gradients.map((gradient) => [...gradient.dataSync()]);
      });
    const first = run();
    const inBetween = tf.ones([1000]);
    expect(run()).toEqual(first);
    inBetween.dispose();
  });
});
