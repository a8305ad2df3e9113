import * as tf from "@tensorflow/tfjs-core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  affineQuantizer,
  clipQuantizer,
  codebookQuantizer,
  nearestInteger,
  ternaryQuantizer,
} from "../src/index.js";
import { bits, expectDecodedExactly, normal, onEachBackend } from "./setup.js";

const list = (x: tf.Tensor) => [...x.dataSync()];
const HARD = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 0, 1e30, -1e-30];

onEachBackend(() => {
  describe("affineQuantizer with a width per slice", () => {
    it("clamps each channel to its own levels and counts indices on the widest one's", () => {
      const q = affineQuantizer({ bits: [4, 0, 2], signed: true, scale: 0.5 });
      expect(list(q.levels)).toEqual(Array.from({ length: 15 }, (_, i) => i - 7));
      const x = tf.tensor2d([
        [-9, -9, -9],
        [1.1, 1.1, 1.1],
      ]);
      expect(list(q.quantize(x))).toEqual([0, 7, 6, 9, 7, 8]);
      expect(list(q.fakeQuantize(x))).toEqual([-3.5, 0, -0.5, 1, 0, 0.5]);
    });

    it("is the quantizer of each width, slice by slice, on any axis", () => {
      const widths = [3, 0, 8, 2, 16];
      for (const [axis, shape] of [
        [0, [5, 2, 3, 4]],
        [1, [2, 5, 3, 4]],
        [-2, [2, 3, 5, 4]],
        [3, [2, 3, 4, 5]],
      ] as [number, [number, number, number, number]][]) {
        const at = axis < 0 ? axis + 4 : axis;
        const x = tf.tensor4d(normal(120, 5), shape);
        const scaleShape = shape.map((size, i) => (i === at ? size : 1));
        const scales = tf.tensor([0.1, 0.2, 0.01, 0.4, 1e-4], scaleShape);
        const mixed = affineQuantizer({ bits: widths, axis, signed: true, scale: scales });
        const slices = tf.unstack(x, at).map((slice, c) => {
          const scale = scales.dataSync()[c];
          return widths[c] === 0
            ? tf.zerosLike(slice)
            : affineQuantizer({ bits: widths[c], signed: true, scale }).fakeQuantize(slice);
        });
        expect(bits(mixed.fakeQuantize(x))).toEqual(bits(tf.stack(slices, at)));
        expectDecodedExactly(mixed, x);
      }
    });

    it("has the levels of two's complement with a zero point per width", () => {
      const q = affineQuantizer({ bits: [1, 2, 0, 3], zeroPoint: [1, 2, 0, 4], scale: 1 });
      expect(list(q.levels)).toEqual([-4, -3, -2, -1, 0, 1, 2, 3]);
      expect(list(q.fakeQuantize(tf.tensor1d([-9, -9, -9, -9])))).toEqual([-1, -2, 0, -4]);
      expect(list(q.fakeQuantize(tf.tensor1d([9, 9, 9, 9])))).toEqual([0, 1, 0, 3]);
    });

    it("fakeQuantize is dequantize of quantize, bit for bit, for any widths, scales and values", () => {
      const value = fc.oneof(
        fc.float(),
        fc.constantFrom(...HARD),
        fc.integer({ min: -99, max: 99 }).map((n) => n / 2),
      );
      const channel = fc.record({
        width: fc.constantFrom(0, 2, 3, 8, 16),
        scale: fc.float({ min: Math.fround(1e-3), max: 100, noNaN: true }),
        values: fc.array(value, { minLength: 6, maxLength: 6 }),
      });
      fc.assert(
        fc.property(fc.array(channel, { minLength: 1, maxLength: 5 }), fc.boolean(), (channels, signed) => {
          tf.tidy(() => {
            const q = affineQuantizer({
              bits: channels.map(({ width }) => width),
              axis: 0,
              signed,
              scale: tf.tensor2d(channels.map(({ scale }) => [scale])),
            });
            expectDecodedExactly(q, tf.tensor2d(channels.map(({ values }) => values)));
          });
        }),
        { numRuns: 200 },
      );
    });

    it("gives gradients inside each slice's own range alone, and each scale that of its slice", () => {
      const x = tf.tensor2d([
        [0.6, 0.6, 0.6],
        [5, 5, 5],
      ]);
      const f = (x: tf.Tensor, s: tf.Tensor) =>
        affineQuantizer({ bits: [4, 0, 2], signed: true, scale: s }).fakeQuantize(x);
      const [dx, ds] = tf.grads(f)([x, tf.tensor1d([1, 1, 1])]);
      expect(list(dx)).toEqual([1, 0, 1, 1, 0, 0]);
      const expected = [1 - 0.6 + 0, 0, 1 - 0.6 + 1];
      for (const [c, got] of list(ds).entries()) expect(got).toBeCloseTo(expected[c], 5);
    });

    it("keeps a pruned channel 0 whatever its scale", () => {
      const q = affineQuantizer({ bits: [0, 0], scale: tf.tensor1d([0, 1e-40]) });
      expect(
        bits(
          q.fakeQuantize(
            tf.tensor2d([
              [0, -1e30],
              [Number.NaN, 3],
            ]),
          ),
        ),
      ).toEqual([0, 0, 0, 0]);
      expect(bits(affineQuantizer({ bits: 0, scale: 1 }).fakeQuantize(tf.tensor1d([5, -5])))).toEqual([0, 0]);
    });

    it("leaves one tensor a call, and none that a step does not dispose", () => {
      const s = tf.variable(tf.tensor1d([0.1, 0.2]));
      const x = tf.tensor2d(normal(20, 3), [10, 2]);
      const before = tf.memory().numTensors;
      const q = affineQuantizer({ bits: [2, 4], signed: true, scale: s });
      expect(tf.memory().numTensors).toBe(before + 1);
      const made = [q.fakeQuantize(x), q.quantize(x)];
      made.push(q.dequantize(made[1]));
      expect(tf.memory().numTensors).toBe(before + 4);
      tf.dispose([...made, q.levels]);
      const optimizer = tf.train.sgd(0.01);
      optimizer.minimize(
        () => tf.sum(affineQuantizer({ bits: [2, 0], signed: true, scale: s }).fakeQuantize(x)) as tf.Scalar,
        false,
        [s],
      );
      optimizer.dispose();
      expect(tf.memory().numTensors).toBe(before);
      s.dispose();
    });

    it("names the argument that is wrong", () => {
      const build = (options: object) => () => affineQuantizer({ bits: [4, 2], scale: 1, ...options });
      expect(build({ bits: [] })).toThrow("bits: expected a width or a list of widths, got an empty list");
      expect(build({ bits: [4, 17] })).toThrow("bits[1]: expected an integer from 1 to 16, got 17");
      expect(build({ bits: [4, 1], signed: true })).toThrow(
        "bits[1]: expected an integer from 2 to 16 (signed), got 1",
      );
      expect(build({ axis: 0.5 })).toThrow("axis: expected an integer, got 0.5");
      expect(build({ bits: 4, axis: 1 })).toThrow("axis: expected none beside one bit width, got 1");
      expect(build({ zeroPoint: [1] })).toThrow("zeroPoint: expected 2 numbers, one per width, got 1");
      expect(build({ zeroPoint: [1, 4] })).toThrow("zeroPoint[1]: expected an integer from 0 to 3, got 4");
      expect(build({ bits: "4" })).toThrow("bits: expected an integer from 1 to 16, got 4");
      expect(() => build({})().quantize(tf.zeros([2, 3]))).toThrow(
        "bits: expected as many widths as x of shape [2,3] has slices along axis -1, got 2",
      );
    });
  });

  describe("every quantizer", () => {
    it("decodes NaN, infinities and zeros of either sign to what fakeQuantize gives", () => {
      const x = tf.tensor1d(HARD);
      for (const q of [
        affineQuantizer({ bits: 4, scale: 0.5 }),
        affineQuantizer({ bits: 4, signed: true, scale: 0.5 }),
        affineQuantizer({ bits: 4, scale: 0.5, zeroPoint: 3 }),
        clipQuantizer({ bits: 4, clip: 2 }),
        codebookQuantizer([-1, 0, 2]),
        ternaryQuantizer({ scale: 0.5, threshold: 0.1 }),
      ]) {
        expectDecodedExactly(q, x);
        expect(q.quantize(x).dataSync()[0]).toBe(0);
      }
    });
  });

  describe("nearestInteger", () => {
    it("gives the integers of a tensor, ties and last bits of the quotient included", () => {
      const anyScale = fc.double({ min: 1e-3, max: 100, noNaN: true });
      const tie = fc.tuple(fc.integer({ min: -200, max: 200 }), anyScale).map(([n, s]) => [(n + 0.5) * s, s]);
      const any = fc.tuple(fc.oneof(fc.float(), fc.constantFrom(...HARD)), anyScale);
      fc.assert(
        fc.property(fc.array(fc.oneof(tie, any), { minLength: 1, maxLength: 20 }), (cases) => {
          tf.tidy(() => {
            const x = tf.tensor1d(cases.map(([value]) => value));
            const scale = tf.tensor1d(cases.map(([, step]) => step));
            const q = affineQuantizer({ bits: 7, signed: true, scale });
            const expected = cases.map(([value, step]) => nearestInteger(value, step, -63, 63));
            expect(list(q.quantize(x)).map((index) => index - 63)).toEqual(expected);
            expect(bits(q.fakeQuantize(x))).toEqual(
              bits(tf.tensor1d(expected.map((integer, i) => integer * Math.fround(cases[i][1])))),
            );
          });
        }),
        { numRuns: 300 },
      );
    });

    it("rounds ties to even where the float32 quotient is one, and takes no bounds", () => {
      expect([0.5, 1.5, 2.5, -0.5, -1.5].map((x) => nearestInteger(x, 1))).toEqual([0, 2, 2, 0, -2]);
      expect(nearestInteger(0.25, 0.1)).toBe(2); // 2.5 in float32; Math.round(0.25 / 0.1) is 3
      expect(nearestInteger(2 ** 60, 1)).toBe(2 ** 60);
      expect(nearestInteger(1e30, 1, -7, 7)).toBe(7);
      expect(nearestInteger(Number.NaN, 1, -7, 7)).toBe(-7);
    });
  });
});
