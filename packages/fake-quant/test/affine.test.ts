import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { affineQuantizer, clipQuantizer } from "../src/index.js";
import { bits, expectDecodedExactly, normal, onEachBackend } from "./setup.js";

const list = (x: tf.Tensor) => [...x.dataSync()];

onEachBackend((backend) => {
  describe("affineQuantizer", () => {
    it("rounds to the nearest level, ties to even, and clamps", () => {
      const q = affineQuantizer({ bits: 2, scale: 0.5 });
      const x = tf.tensor1d([-9, -0.3, 0.25, 0.75, 1.25, 0.74, 1.3, 99, Number.POSITIVE_INFINITY]);
      expect(list(q.quantize(x))).toEqual([0, 0, 0, 2, 2, 1, 3, 3, 3]);
      expect(list(q.fakeQuantize(x))).toEqual([0, 0, 0, 1, 1, 0.5, 1.5, 1.5, 1.5]);
      expect(list(q.levels)).toEqual([0, 1, 2, 3]);
    });

    it("has an odd number of levels when signed, symmetric about zero", () => {
      const q = affineQuantizer({ bits: 3, signed: true, scale: 1 });
      expect(list(q.levels)).toEqual([-3, -2, -1, 0, 1, 2, 3]);
      const x = tf.tensor1d([-4, -2.6, -0.4, 0.6, 3.9]);
      expect(list(q.quantize(x))).toEqual([0, 0, 3, 4, 6]);
      expect(list(q.fakeQuantize(x))).toEqual([-3, -3, 0, 1, 3]);
    });

    it("gives the index zeroPoint to zero", () => {
      const q = affineQuantizer({ bits: 8, scale: 0.25, zeroPoint: 40 });
      expect(list(q.quantize(tf.tensor1d([-99, -10, 0, 0.5, 99])))).toEqual([0, 0, 40, 42, 255]);
      expect(list(q.fakeQuantize(tf.tensor1d([-99, 0, 99])))).toEqual([-10, 0, 53.75]);
    });

    it("takes one scale a channel, along the axis its shape names", () => {
      const x = tf.tensor2d([
        [1, 1, 1],
        [2, 2, 2],
      ]);
      const last = affineQuantizer({ bits: 8, scale: tf.tensor1d([1, 0.75, 0.4]) });
      expect(bits(last.fakeQuantize(x))).toEqual(
        bits(
          tf.mul(
            tf.tensor2d([
              [1, 1, 2],
              [2, 3, 5],
            ]),
            last.scale,
          ),
        ),
      );
      const first = affineQuantizer({ bits: 8, scale: tf.tensor2d([[0.75], [0.4]]) });
      expect(list(first.quantize(x))).toEqual([1, 1, 1, 5, 5, 5]);
      expectDecodedExactly(first, x);
    });

    it("fakeQuantize is dequantize of quantize, bit for bit, at every width and sign of zero", () => {
      const x = tf.tensor2d(normal(600, 1, 0.1, 2), [20, 30]);
      const signedZeros = tf.tensor1d([-0, 0, -1e-9, -0.004, 0.004]);
      for (let width = 1; width <= 16; width++) {
        const scale = 3.7 / 2 ** width;
        const quantizers = [
          affineQuantizer({ bits: width, scale }),
          affineQuantizer({ bits: width, scale, zeroPoint: 2 ** (width - 1) }),
          affineQuantizer({ bits: width, scale: tf.scalar(scale) }),
          clipQuantizer({ bits: width, clip: 1.7 }),
        ];
        if (width > 1) quantizers.push(affineQuantizer({ bits: width, signed: true, scale }));
        for (const q of quantizers) {
          expectDecodedExactly(q, x);
          expectDecodedExactly(q, signedZeros);
        }
      }
    });

    it("leaves what is already quantized as it is", () => {
      const anyFloat = fc.float({ noNaN: true, min: -1000, max: 1000 });
      const anyScale = fc.double({ min: 1e-3, max: 100, noNaN: true });
      fc.assert(
        fc.property(
          fc.array(anyFloat, { minLength: 1 }),
          anyScale,
          fc.integer({ min: 2, max: 16 }),
          fc.boolean(),
          (values, scale, width, signed) => {
            tf.tidy(() => {
              const q = affineQuantizer({ bits: width, scale, signed });
              const once = q.fakeQuantize(tf.tensor1d(values));
              expect(bits(q.fakeQuantize(once))).toEqual(bits(once));
            });
          },
        ),
        { numRuns: 100 },
      );
    });

    it("is monotone, and within half a step inside its range", () => {
      const anyFloat = fc.float({ noNaN: true, min: -50, max: 50 });
      fc.assert(
        fc.property(
          fc.array(anyFloat, { minLength: 2 }),
          fc.double({ min: 0.01, max: 10, noNaN: true }),
          fc.boolean(),
          (values, scale, signed) => {
            tf.tidy(() => {
              const q = affineQuantizer({ bits: 5, scale, signed });
              const sorted = Float32Array.from(values).sort();
              const y = q.fakeQuantize(tf.tensor1d(sorted)).dataSync();
              const [low, high] = signed ? [-15 * scale, 15 * scale] : [0, 31 * scale];
              for (let i = 0; i < y.length; i++) {
                if (i > 0) expect(y[i]).toBeGreaterThanOrEqual(y[i - 1]);
                if (sorted[i] < low || sorted[i] > high) continue;
                expect(Math.abs(y[i] - sorted[i])).toBeLessThanOrEqual((scale / 2) * (1 + 1e-5));
              }
            });
          },
        ),
        { numRuns: 100 },
      );
    });

    it("passes the gradient to x inside the range, both ends included, and none outside", () => {
      const x = tf.tensor1d([-0.1, 0, 0.3, 1.5, 1.6, 99]);
      for (const scale of [0.5, tf.scalar(0.5)]) {
        const q = affineQuantizer({ bits: 2, scale });
        const dy = tf.tensor1d([1, 2, 3, 4, 5, 6]);
        expect(list(tf.grad(q.fakeQuantize)(x, dy))).toEqual([0, 2, 3, 4, 0, 0]);
      }
    });

    it("gives a learned scale the gradient of LSQ: the levels outside, the rounding error inside", () => {
      const x = tf.tensor1d([-5, 0.26, 1.4, 9]);
      const dy = tf.tensor1d([1, 10, 100, 1000]);
      const loss = (s: tf.Tensor) => affineQuantizer({ bits: 3, signed: true, scale: s }).fakeQuantize(x);
      const [ds] = list(tf.grad(loss)(tf.scalar(1), dy));
      expect(ds).toBeCloseTo(-3 + 10 * (0 - 0.26) + 100 * (1 - 1.4) + 1000 * 3, 3);
    });

    it("has the gradient of a scale a channel that finite differences of the surrogate have", () => {
      // Surrogate: rounding frozen at the point of differentiation, v + (round(v) - v), everything else differentiated.
      const shape: [number, number, number] = [5, 3, 4];
      const x = normal(60, 7);
      const dy = normal(60, 8);
      for (const [scaleShape, channelOf] of [
        [[4], (i: number) => i % 4],
        [[3, 1], (i: number) => Math.floor(i / 4) % 3],
        [[5, 1, 1], (i: number) => Math.floor(i / 12)],
        [[1, 3, 1], (i: number) => Math.floor(i / 4) % 3],
      ] as [number[], (i: number) => number][]) {
        const scales = Float32Array.from({ length: Math.max(...scaleShape) }, (_, c) => 0.31 + 0.07 * c);
        const surrogate = (s: ArrayLike<number>) => {
          let sum = 0;
          for (let i = 0; i < 60; i++) {
            const c = channelOf(i);
            const frozen = Math.min(3, Math.max(-3, x[i] / scales[c]));
            const error = Math.round(frozen) - frozen;
            const v = Math.min(3, Math.max(-3, x[i] / s[c]));
            sum += dy[i] * (v + error) * s[c];
          }
          return sum;
        };
        const expected = [...scales].map((s, c) => {
          const moved = (by: number) => Float64Array.from(scales, (other, k) => (k === c ? s + by : other));
          return (surrogate(moved(1e-6)) - surrogate(moved(-1e-6))) / 2e-6;
        });
        const loss = (s: tf.Tensor) =>
          affineQuantizer({ bits: 3, signed: true, scale: s }).fakeQuantize(tf.tensor(x, shape));
        const got = list(tf.grad(loss)(tf.tensor(scales, scaleShape), tf.tensor(dy, shape)));
        expect(got.length).toBe(expected.length);
        for (let c = 0; c < got.length; c++) expect(got[c]).toBeCloseTo(expected[c], 3);
      }
    });

    it("lets a rate term reach the variable behind the scale", () => {
      const clip = tf.variable(tf.scalar(-3));
      const { grads } = tf.variableGrads(() => {
        const q = affineQuantizer({ bits: 4, scale: tf.div(tf.abs(clip), 15) });
        return tf.sum(tf.div(tf.tensor1d([1, 2]), q.scale)) as tf.Scalar; // 15 (1 + 2) / |clip|
      });
      expect(grads[clip.name].dataSync()[0]).toBeCloseTo((-(15 * 3) / 9) * -1, 4);
      clip.dispose();
    });

    it("makes one index of a constant tensor", () => {
      for (const c of [0, 1.5, 1e20]) {
        const q = affineQuantizer({ bits: 4, scale: c === 0 ? 1 : c / 15 });
        const x = tf.fill([10], c);
        expect(new Set(q.quantize(x).dataSync()).size).toBe(1);
        for (const v of q.fakeQuantize(x).dataSync()) expect(Math.abs(v - c)).toBeLessThanOrEqual(c * 2e-7);
      }
    });

    it("makes NaN visible in the gradient", () => {
      const x = tf.tensor1d([Number.NaN, 1]);
      const dx = list(tf.grad(affineQuantizer({ bits: 4, scale: 1 }).fakeQuantize)(x));
      expect(dx[0]).toBeNaN();
      expect(dx[1]).toBe(1);
    });

    it("keeps infinities out of the gradient of the scale", () => {
      const x = tf.tensor1d([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
      const loss = (s: tf.Tensor) => affineQuantizer({ bits: 4, scale: s }).fakeQuantize(x);
      expect(list(tf.grad(loss)(tf.scalar(1)))).toEqual([15]);
    });

    it("takes empty and integer tensors", () => {
      const q = affineQuantizer({ bits: 4, scale: 2 });
      expect(q.fakeQuantize(tf.tensor2d([], [0, 3])).shape).toEqual([0, 3]);
      expect(list(q.quantize(tf.tensor1d([3, 8, 99], "int32")))).toEqual([2, 4, 15]);
      expect(list(q.fakeQuantize(tf.tensor1d([3, 8, 99], "int32")))).toEqual([4, 8, 30]);
    });

    it("leaves one tensor a call, and none that an optimizer's step does not dispose", () => {
      const s = tf.variable(tf.scalar(0.1));
      const x = tf.tensor1d(normal(100, 3));
      const q = affineQuantizer({ bits: 4, scale: s });
      const before = tf.memory().numTensors;
      const made = [q.fakeQuantize(x), q.quantize(x)];
      made.push(q.dequantize(made[1]));
      expect(tf.memory().numTensors).toBe(before + 3);
      tf.dispose(made);
      const optimizer = tf.train.sgd(0.01);
      optimizer.minimize(() => tf.sum(tf.square(q.fakeQuantize(x))) as tf.Scalar, false, [s]);
      optimizer.dispose();
      expect(tf.memory().numTensors).toBe(before);
      s.dispose();
    });

    it("owns its levels, and a scale it was given as a number", () => {
      const before = tf.memory().numTensors;
      const q = affineQuantizer({ bits: 4, scale: 0.5 });
      expect(tf.memory().numTensors).toBe(before + 2);
      tf.dispose([q.levels, q.scale]);
      expect(tf.memory().numTensors).toBe(before);
      const s = tf.scalar(1);
      expect(affineQuantizer({ bits: 4, scale: s }).scale).toBe(s);
      expect(tf.memory().numTensors).toBe(before + 2);
    });

    it("names the argument that is wrong", () => {
      for (const [options, error, message] of [
        [{ bits: -1, scale: 1 }, RangeError, "bits: expected an integer from 1 to 16, got -1"],
        [{ bits: 17, scale: 1 }, RangeError, "bits: expected an integer from 1 to 16, got 17"],
        [
          { bits: 1, scale: 1, signed: true },
          RangeError,
          "bits: expected an integer from 2 to 16 (signed), got 1",
        ],
        [{ bits: 4, scale: 0 }, RangeError, "scale: expected a positive finite number, got 0"],
        [{ bits: 4, scale: Number.NaN }, RangeError, "scale: expected a positive finite number, got NaN"],
        [{ bits: 4, scale: 1e-60 }, RangeError, "scale: expected a positive finite number, got 1e-60"],
        [
          { bits: 4, scale: 1, zeroPoint: 16 },
          RangeError,
          "zeroPoint: expected an integer from 0 to 15, got 16",
        ],
        [
          { bits: 4, scale: 1, zeroPoint: 1, signed: true },
          RangeError,
          "zeroPoint: expected none on a signed grid, got 1",
        ],
        [{ bits: 4, scale: "1" }, TypeError, "scale: expected a number or a tensor, got string"],
      ] as [{ bits: number; scale: number }, ErrorConstructor, string][]) {
        const build = () => affineQuantizer(options);
        expect(build).toThrow(error);
        expect(build).toThrow(message);
      }
      const q = affineQuantizer({ bits: 4, scale: tf.ones([2, 3]) });
      const message = "scale: expected a shape that broadcasts against [3], got [2,3]";
      expect(() => q.fakeQuantize(tf.ones([3]))).toThrow(message);
      expect(() => q.quantize(tf.ones([3]))).toThrow(message);
    });
  });

  describe("clipQuantizer", () => {
    it("has its highest level at the clip and gives clamped elements' gradients to it, with its sign", () => {
      const x = tf.tensor1d([-1, 0.4, 2.6, 3, 7, 8]);
      const dy = tf.tensor1d([1, 2, 3, 4, 5, 6]);
      for (const sign of [1, -1]) {
        const loss = (x: tf.Tensor, c: tf.Tensor) => clipQuantizer({ bits: 2, clip: c }).fakeQuantize(x);
        const clip = tf.scalar(3 * sign);
        expect(list(loss(x, clip))).toEqual([0, 0, 3, 3, 3, 3]);
        const [dx, dc] = tf.grads(loss)([x, clip], dy);
        expect(list(dx)).toEqual([0, 2, 3, 4, 0, 0]);
        expect(list(dc)).toEqual([11 * sign]);
      }
    });

    it("differs from the affine quantizer of the same scale in the clip's gradient alone", () => {
      const x = tf.tensor1d(normal(1000, 4, 1, 2));
      const clip = tf.scalar(2.5);
      const pact = (x: tf.Tensor, c: tf.Tensor) => clipQuantizer({ bits: 4, clip: c }).fakeQuantize(x);
      const lsq = (x: tf.Tensor, c: tf.Tensor) =>
        affineQuantizer({ bits: 4, scale: tf.div(tf.abs(c), 15) }).fakeQuantize(x);
      expect(bits(pact(x, clip))).toEqual(bits(lsq(x, clip)));
      const [pactX, pactClip] = tf.grads(pact)([x, clip]);
      const [lsqX, lsqClip] = tf.grads(lsq)([x, clip]);
      expect(bits(pactX)).toEqual(bits(lsqX));
      const beyond = [...x.dataSync()].filter((v) => v > 2.5).length;
      expect(pactClip.dataSync()[0]).toBeCloseTo(beyond, 3);
      let rounding = 0;
      for (const v of x.dataSync()) if (v >= 0 && v <= 2.5) rounding += Math.round(v * 6) / 15 - (v * 6) / 15;
      expect(lsqClip.dataSync()[0]).toBeCloseTo(beyond + rounding, 2);
    });

    it("takes a number, and rejects 0", () => {
      expect(list(clipQuantizer({ bits: 2, clip: -3 }).fakeQuantize(tf.tensor1d([1.2, 5])))).toEqual([1, 3]);
      expect(() => clipQuantizer({ bits: 2, clip: 0 })).toThrow(
        "clip: expected a finite number other than 0, got 0",
      );
      expect(() => clipQuantizer({ bits: 2, clip: "3" as never })).toThrow(TypeError);
    });
  });

  if (backend === "wasm") {
    it("gives the same values and indices as on the cpu backend", async () => {
      const values = normal(5000, 11, 0, 3);
      const results: number[][] = [];
      for (const name of ["wasm", "cpu"]) {
        await tf.setBackend(name);
        const q = affineQuantizer({ bits: 6, scale: 0.137, zeroPoint: 20 });
        results.push([
          ...bits(q.fakeQuantize(tf.tensor1d(values))),
          ...q.quantize(tf.tensor1d(values)).dataSync(),
        ]);
      }
      expect(results[0]).toEqual(results[1]);
    });
  }
});
