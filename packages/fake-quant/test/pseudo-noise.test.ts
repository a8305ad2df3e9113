import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  bitsFromLogits,
  gaussianNoise,
  logitsFromBits,
  minMaxRange,
  modelBits,
  type Noise,
  noiseQuantizer,
  roundedBits,
  uniformNoise,
} from "../src/index.js";
import { normal, onEachBackend } from "./setup.js";

const list = (x: tf.Tensor) => [...x.dataSync()];
const ones: Noise = (shape) => tf.ones(shape);

onEachBackend(() => {
  describe("noiseQuantizer in training", () => {
    it("adds noise of each group's step to the tensor, in its shape", () => {
      const w = tf.tensor2d([-1, -0.2, 0.3, 3], [2, 2]); // range 4
      const q = noiseQuantizer({ bits: tf.tensor1d([1, 2]), groupSize: 2, noise: ones });
      const noisy = q.fakeQuantize(w);
      expect(noisy.shape).toEqual([2, 2]);
      const expected = [-1 + 4, -0.2 + 4, 0.3 + 4 / 3, 3 + 4 / 3];
      for (const [i, value] of list(noisy).entries()) expect(value).toBeCloseTo(expected[i], 5);
    });

    it("has the derivative -0.308065, -0.113167, -0.049290, -0.00272888 of the unit step at 2, 3, 4, 8 bits", () => {
      const bits = tf.tensor1d([2, 3, 4, 8]);
      const w = tf.tensor1d([0, 1, 0.5, 0.5]);
      const f = (b: tf.Tensor) =>
        noiseQuantizer({ bits: b as tf.Tensor1D, groupSize: 1, noise: ones }).fakeQuantize(w);
      const slopes = list(tf.grad(f)(bits));
      for (const [i, slope] of [-0.308065, -0.113167, -0.04929, -0.00272888].entries()) {
        expect(slopes[i] / slope).toBeCloseTo(1, 4);
      }
    });

    it("has the gradient by the widths that finite differences have, and the identity to w", () => {
      const values = normal(24, 3);
      const bits = [2.3, 4.1, 5.7];
      const loss = (w: tf.Tensor, b: tf.Tensor) => {
        const q = noiseQuantizer({ bits: b as tf.Tensor1D, groupSize: 8, noise: uniformNoise(5) });
        return tf.sum(tf.square(q.fakeQuantize(w))) as tf.Scalar;
      };
      const w = tf.tensor2d(values, [4, 6]);
      const [dw, db] = tf.grads(loss)([w, tf.tensor1d(bits)]);
      const at = (k: number, by: number) =>
        loss(w, tf.tensor1d(bits.map((b, j) => (j === k ? b + by : b)))).dataSync()[0];
      for (let k = 0; k < 3; k++) {
        expect(list(db)[k]).toBeCloseTo((at(k, 0.02) - at(k, -0.02)) / 0.04, 2);
      }
      const noisy = noiseQuantizer({ bits: tf.tensor1d(bits), groupSize: 8, noise: uniformNoise(5) });
      // No term for the extreme values, although they set the range.
      expect(list(dw)).toEqual(list(tf.mul(noisy.fakeQuantize(w), 2)));
    });

    it("makes as large an error as rounding does, with uniform noise", () => {
      const w = tf.tensor1d(normal(20_000, 7));
      const range = minMaxRange(w);
      const q = noiseQuantizer({ bits: tf.tensor1d([4]), groupSize: w.size, noise: uniformNoise(1) });
      const error = (v: tf.Tensor) => tf.losses.meanSquaredError(w, v).dataSync()[0];
      const rounding = error(q.dequantize(q.quantize(w, range), range));
      expect(error(q.fakeQuantize(w)) / rounding).toBeGreaterThan(0.96);
      expect(error(q.fakeQuantize(w)) / rounding).toBeLessThan(1.04);
    });

    it("learns the widths that a price on the size makes optimal, by group", () => {
      const groupSize = 512;
      const importance = [1, 16, 256];
      const price = 1e-3;
      const w = tf.tensor1d(normal(3 * groupSize, 9));
      const { min, max } = minMaxRange(w);
      // d/db of importance * (range u)^2 / 12 + price * b is 0 where u^2 (1 + u) is:
      const optimum = importance.map((a) => {
        const target = (6 * price) / (a * (max - min) ** 2 * Math.LN2);
        let bits = 1;
        for (; bits < 16 && (1 / (2 ** bits - 1)) ** 2 * (1 + 1 / (2 ** bits - 1)) > target; bits += 1e-3);
        return bits;
      });
      const noise = uniformNoise(2);
      const logits = tf.variable(logitsFromBits([8, 8, 8]));
      const loss = () => {
        const bits = bitsFromLogits(logits as unknown as tf.Tensor1D);
        const error = tf.sub(noiseQuantizer({ bits, groupSize, noise }).fakeQuantize(w), w);
        const task = tf.sum(tf.mul(tf.sum(tf.reshape(tf.square(error), [3, groupSize]), 1), importance));
        return tf.add(task, tf.mul(modelBits(bits, groupSize), price)) as tf.Scalar;
      };
      const optimizer = tf.train.adam(0.05);
      optimizer.minimize(loss, false, [logits]); // creates Adam's own state
      const before = tf.memory().numTensors;
      for (let step = 1; step < 200; step++) {
        optimizer.minimize(loss, false, [logits]);
        expect(tf.memory().numTensors).toBe(before);
      }
      const learned = list(bitsFromLogits(logits));
      for (const [k, bits] of learned.entries()) expect(Math.abs(bits - optimum[k])).toBeLessThan(0.1);
      expect(optimum[2] - optimum[0]).toBeGreaterThan(3.5);
      optimizer.dispose();
      logits.dispose();
    });

    it("leaves a constant tensor alone", () => {
      const q = noiseQuantizer({ bits: tf.tensor1d([3]), groupSize: 2, noise: ones });
      expect(list(q.fakeQuantize(tf.tensor1d([0.3, 0.3])))).toEqual(list(tf.tensor1d([0.3, 0.3])));
    });

    it("draws other noise at each call unless told otherwise", () => {
      const w = tf.tensor1d([0, 1]);
      const bits = tf.tensor1d([2]);
      const draw = () => list(noiseQuantizer({ bits, groupSize: 2 }).fakeQuantize(w));
      expect(draw()).not.toEqual(draw());
    });
  });

  describe("noiseQuantizer at evaluation", () => {
    it("rounds the worked example to [0, 1, 2, 3], values [-1, -1/3, 1/3, 1]", () => {
      const w = tf.tensor2d([-1, -0.2, 0.3, 1], [2, 2]);
      const q = noiseQuantizer({ bits: tf.tensor1d([1.6]), groupSize: 4 });
      const range = minMaxRange(w);
      const indices = q.quantize(w, range);
      expect(indices.dtype).toBe("int32");
      expect(indices.shape).toEqual([2, 2]);
      expect(list(indices)).toEqual([0, 1, 2, 3]);
      const values = q.dequantize(indices, range);
      expect(values.shape).toEqual([2, 2]);
      for (const [i, v] of [-1, -1 / 3, 1 / 3, 1].entries()) expect(list(values)[i]).toBeCloseTo(v, 6);
    });

    it("gives every group of a tensor its own width, the largest included", () => {
      const widths = Array.from({ length: 16 }, (_, i) => i + 1);
      const groupSize = 50;
      const w = tf.tensor1d(normal(16 * groupSize, 11));
      const range = minMaxRange(w);
      const q = noiseQuantizer({ bits: tf.tensor1d(widths), groupSize });
      const indices = list(q.quantize(w, range));
      const values = list(q.dequantize(q.quantize(w, range), range));
      const width = range.max - range.min;
      for (const [i, x] of list(w).entries()) {
        const highest = 2 ** widths[Math.floor(i / groupSize)] - 1;
        const level = ((x - range.min) / width) * highest;
        expect(Math.abs(indices[i] - level)).toBeLessThan(0.51);
        expect(values[i]).toBeCloseTo(range.min + (indices[i] / highest) * width, 5);
        expect(Math.abs(values[i] - x)).toBeLessThanOrEqual((width / highest) * 0.51);
      }
    });

    it("decodes all 65,536 indices of 16 bits to values with the same indices", () => {
      const all = tf.range(0, 65_536, 1, "int32");
      const q = noiseQuantizer({ bits: tf.tensor1d([16]), groupSize: all.size });
      const range = { min: Math.fround(-0.7), max: Math.fround(1.9) };
      const again = q.quantize(q.dequantize(all, range), range);
      expect(tf.max(tf.abs(tf.sub(again, all))).dataSync()[0]).toBe(0);
    });

    it("clamps what is beyond the range, and puts a constant at index 0", () => {
      const q = noiseQuantizer({ bits: tf.tensor1d([2]), groupSize: 3 });
      expect(list(q.quantize(tf.tensor1d([-9, 0.4, 9]), { min: 0, max: 1 }))).toEqual([0, 1, 3]);
      const flat = { min: 0.25, max: 0.25 };
      const indices = q.quantize(tf.tensor1d([0.25, 0.25, 0.25]), flat);
      expect(list(indices)).toEqual([0, 0, 0]);
      expect(list(q.dequantize(indices, flat))).toEqual([0.25, 0.25, 0.25]);
    });

    it("rounds widths to 1 .. 16, ties to even", () => {
      const widths = roundedBits(tf.tensor1d([0.2, 2.5, 3.5, 7.6, 40]));
      expect(widths.dtype).toBe("int32");
      expect(list(widths)).toEqual([1, 2, 4, 8, 16]);
    });
  });

  describe("modelBits", () => {
    it("is 1278 bits for 144 weights in groups of 8 at 8 bits", () => {
      expect(modelBits(tf.fill([18], 8), 8).dataSync()[0]).toBe(1278);
    });

    it("codes a width in ceil(log2(1 + round(max) - minBits)) bits, for every largest width", () => {
      for (let minBits = 1; minBits <= 16; minBits++) {
        for (let widest = minBits; widest <= 16; widest++) {
          const bits = tf.tensor1d([minBits, widest, widest - 0.4]);
          const expected = 5 * (minBits + widest + widest - 0.4) + 72;
          const widthBits = Math.ceil(Math.log2(1 + widest - minBits)) * 3;
          expect(modelBits(bits, 5, minBits).dataSync()[0]).toBeCloseTo(expected + widthBits, 4);
        }
      }
    });

    it("has the gradient groupSize by every width", () => {
      const f = (b: tf.Tensor) => modelBits(b as tf.Tensor1D, 16);
      expect(list(tf.grad(f)(tf.tensor1d([2, 7.3, 15])))).toEqual([16, 16, 16]);
    });

    it("counts what will be stored when given rounded widths", () => {
      expect(modelBits(roundedBits(tf.tensor1d([2.4, 7.6])), 4).dataSync()[0]).toBe(4 * 10 + 72 + 3 * 2);
    });
  });

  describe("widths from logits", () => {
    it("starts 8 bits of 2 .. 15 at -0.154151", () => {
      expect(list(logitsFromBits([8]))[0]).toBeCloseTo(-0.154151, 6);
      expect(list(bitsFromLogits(tf.scalar(-0.154151)))[0]).toBeCloseTo(8, 5);
    });

    it("inverts, for any interval", () => {
      const interval = { minBits: 1, maxBits: 10 };
      const bits = [1.01, 2, 5.5, 9.99];
      const again = list(bitsFromLogits(logitsFromBits(bits, interval), interval));
      for (const [i, b] of bits.entries()) expect(again[i]).toBeCloseTo(b, 4);
    });

    it("never leaves the interval, whatever the logits", () => {
      const anyFloat = fc.float({ noNaN: true });
      fc.assert(
        fc.property(fc.array(anyFloat, { minLength: 1 }), (logits) => {
          tf.tidy(() => {
            for (const b of list(bitsFromLogits(tf.tensor1d(logits)))) {
              expect(b).toBeGreaterThanOrEqual(2);
              expect(b).toBeLessThanOrEqual(15);
            }
          });
        }),
        { numRuns: 30 },
      );
    });
  });

  describe("noise", () => {
    const statistics = (noise: Noise) => {
      const { mean, variance } = tf.moments(noise([200, 100]));
      return [mean.dataSync()[0], variance.dataSync()[0]];
    };

    it("is uniform in [-1/2, 1/2) with variance 1/12, or Gauss with variance 1/4", () => {
      const [mean, variance] = statistics(uniformNoise(1));
      expect(Math.abs(mean)).toBeLessThan(0.01);
      expect(Math.abs(variance * 12 - 1)).toBeLessThan(0.03);
      const drawn = uniformNoise(1)([1000]).dataSync();
      expect(Math.min(...drawn)).toBeGreaterThanOrEqual(-0.5);
      expect(Math.max(...drawn)).toBeLessThan(0.5);
      const [gaussMean, gaussVariance] = statistics(gaussianNoise(1));
      expect(Math.abs(gaussMean)).toBeLessThan(0.02);
      expect(Math.abs(gaussVariance * 4 - 1)).toBeLessThan(0.04);
    });

    it("repeats for the same seed, and moves on from call to call", () => {
      for (const source of [uniformNoise, gaussianNoise]) {
        const [a, b] = [source(7), source(7)];
        expect(list(a([5]))).toEqual(list(b([5])));
        expect(list(a([5]))).not.toEqual(list(source(7)([5])));
        expect(list(source(8)([5]))).not.toEqual(list(source(7)([5])));
      }
    });
  });

  it("leaves one tensor a call", () => {
    const bits = tf.tensor1d([2, 3]);
    const w = tf.tensor1d([1, 2, 3, 4]);
    const before = tf.memory().numTensors;
    const q = noiseQuantizer({ bits, groupSize: 2 });
    expect(tf.memory().numTensors).toBe(before);
    q.fakeQuantize(w);
    const indices = q.quantize(w, { min: 1, max: 4 });
    q.dequantize(indices, { min: 1, max: 4 });
    roundedBits(bits);
    modelBits(bits, 2);
    bitsFromLogits(bits);
    logitsFromBits([4]);
    expect(tf.memory().numTensors).toBe(before + 7);
    tf.dispose(
      tf.grads((w, b) => noiseQuantizer({ bits: b as tf.Tensor1D, groupSize: 2 }).fakeQuantize(w))([w, bits]),
    );
    expect(tf.memory().numTensors).toBe(before + 7);
  });

  it("names the argument that is wrong", () => {
    const bits = tf.tensor1d([2, 3]);
    const w = tf.zeros([10]);
    expect(() => noiseQuantizer({ bits, groupSize: 4 }).fakeQuantize(w)).toThrow(
      "groupSize: expected a divisor of the tensor's 10 values, got 4",
    );
    expect(() => noiseQuantizer({ bits, groupSize: 2 }).quantize(w, { min: 0, max: 1 })).toThrow(
      "bits: expected shape [5], one a group of 2, got [2]",
    );
    expect(() => noiseQuantizer({ bits, groupSize: 0 })).toThrow(
      "groupSize: expected a positive integer, got 0",
    );
    expect(() => noiseQuantizer({ bits: [2] as never, groupSize: 2 })).toThrow(TypeError);
    expect(() => noiseQuantizer({ bits: tf.scalar(2) as never, groupSize: 2 })).toThrow(
      "bits: expected shape [groups], at least one, got []",
    );
    const q = noiseQuantizer({ bits, groupSize: 5, noise: () => tf.zeros([3]) });
    expect(() => q.fakeQuantize(w)).toThrow("noise: expected a tensor of shape [10], got [3]");
    expect(() => q.quantize(w, { min: 1, max: 0 })).toThrow("range: expected finite min <= max, got 1 .. 0");
    expect(() => q.dequantize(w, { min: 0, max: Number.NaN })).toThrow(RangeError);
    expect(() => modelBits(bits, 8, 0)).toThrow("minBits: expected an integer from 1 to 16, got 0");
    expect(() => bitsFromLogits(bits, { minBits: 5, maxBits: 5 })).toThrow(
      "bits: expected 1 <= minBits < maxBits <= 16, got 5 and 5",
    );
    expect(() => logitsFromBits([4, 2])).toThrow("bits[1]: expected a number between 2 and 15, got 2");
    expect(() => uniformNoise(0.5)).toThrow("seed: expected an integer, got 0.5");
  });
});
