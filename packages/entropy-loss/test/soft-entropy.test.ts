import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { entropy, sampleElements, softEntropy, softHistogram, withSample } from "../src/index.js";
import { backends, difference, fixtures, laplace, reference, tf, uniformLevels } from "./setup.js";

const cases = fixtures();

describe.each(backends)("on the %s backend", (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend);
  });

  test.skipIf(!cases).each(cases ?? [])(
    "$name agrees with PyTorch, values and gradient, to 1e-5",
    (fixture) => {
      const count = 2 ** fixture.bits;
      const { sharpness, min, max } = fixture;
      const levels = uniformLevels(count);
      const y = tf.tensor1d(fixture.x.map((x) => ((x - min) * (count - 1)) / (max - min)));
      const histogram = softHistogram(y, levels, { sharpness }).dataSync();
      for (const [k, p] of fixture.histogram.entries())
        expect(Math.abs(histogram[k] - p)).toBeLessThan(1e-5 * p);
      const { value, grad } = tf.valueAndGrad((v) => softEntropy(v, levels, { sharpness }))(y);
      expect(value.dataSync()[0] / fixture.entropy_bits).toBeCloseTo(1, 6);
      expect(difference(grad.dataSync(), fixture.gradient_wrt_level_units)).toBeLessThan(1e-5);
      // float32 coordinates alone move the smallest gradients by more than 1e-5 of themselves; with those
      // coordinates given, every single element agrees (1e-8 of the largest stands for elements that cancel).
      const exact = reference(
        y.dataSync(),
        Float32Array.from({ length: count }, (_, k) => k),
        sharpness,
      ).gradient;
      const floor = 1e-7 * Math.max(...exact.map(Math.abs));
      for (const [i, g] of grad.dataSync().entries()) {
        expect(Math.abs(g - exact[i])).toBeLessThanOrEqual(1e-5 * Math.abs(exact[i]) + floor);
      }
    },
  );

  test("the worked example of two bits comes out, in units of x", () => {
    const x = tf.tensor1d([0, 0.1, 0.2, 0.45, 0.9, 1]);
    const levels = tf.tensor1d([0, 1 / 3, 2 / 3, 1]);
    const bits = (sharpness: number) => softEntropy(x, levels, { sharpness }).dataSync()[0];
    expect(bits(1)).toBeCloseTo(1.977342, 5);
    expect(bits(5)).toBeCloseTo(1.78881, 5);
    expect(bits(10)).toBeCloseTo(1.652536, 5);
    expect(bits(100)).toBeCloseTo(Math.log2(3), 5);
    expect(
      difference(softHistogram(x, levels).dataSync(), [0.350195, 0.308567, 0.01091, 0.330328]),
    ).toBeLessThan(2e-6);
    expect(
      difference(
        softHistogram(x, levels, { sharpness: 1 }).dataSync(),
        [0.300433, 0.284063, 0.192453, 0.22305],
      ),
    ).toBeLessThan(2e-6);
    const gradient = tf
      .grad((v) => softEntropy(v, levels))(x)
      .dataSync();
    expect(difference(gradient, [0.000083, 0.032248, 0.191693, 2.178381, -0.869046, -0.002234])).toBeLessThan(
      1e-5,
    );
  });

  test("the gradient agrees with central differences", () => {
    const values = [-0.7, 0.2, 0.45, 0.8, 1.3, 1.49, 1.9, 2.6, 3.4];
    for (const levels of [
      [0, 1, 2, 3],
      [0, 0.5, 2, 2.4, 3],
    ]) {
      for (const sharpness of [0.5, 2, 8]) {
        const gradient = tf
          .grad((v) => softEntropy(v, tf.tensor1d(levels), { sharpness }))(tf.tensor1d(values))
          .dataSync();
        const step = 1e-5;
        const differences = values.map((_, i) => {
          const moved = (by: number) =>
            reference(
              values.map((x, j) => (i === j ? x + by : x)),
              levels,
              sharpness,
            ).bits;
          return (moved(step) - moved(-step)) / (2 * step);
        });
        expect(difference(gradient, differences)).toBeLessThan(1e-5);
      }
    }
  });

  test("a histogram's gradient agrees with central differences for any loss on it", () => {
    const values = [-0.4, 0.1, 0.6, 1.45, 2.3, 2.5];
    const weights = [0.3, -2, 1.7, 5];
    const loss = (x: number[]) =>
      reference(x, [0, 1, 2, 3], 4).histogram.reduce((sum, p, k) => sum + weights[k] * p ** 2, 0);
    const gradient = tf
      .grad((v) => tf.sum(tf.mul(tf.square(softHistogram(v, uniformLevels(4), { sharpness: 4 })), weights)))(
        tf.tensor1d(values),
      )
      .dataSync();
    const differences = values.map((_, i) => {
      const moved = (by: number) => loss(values.map((x, j) => (i === j ? x + by : x)));
      return (moved(1e-5) - moved(-1e-5)) / 2e-5;
    });
    expect(difference(gradient, differences)).toBeLessThan(1e-5);
  });

  test("a scale is a division of x, of the sample if there is one, in value and both gradients", () => {
    const x = tf.tensor2d([...laplace(98, 13), Number.POSITIVE_INFINITY, -40], [4, 25]);
    for (const levels of [tf.tensor1d([-2, -1, 0, 1, 2]), tf.tensor1d([-2, -1, 0, 3]), tf.tensor1d([1])]) {
      for (const sampleSize of [undefined, 100, 60]) {
        const options = { sharpness: 4, seed: 2 };
        const sampled = (v: tf.Tensor) => (sampleSize ? sampleElements(v, sampleSize, 2) : v);
        const divided = tf.grads((v, scale) =>
          tf.mul(softEntropy(tf.mul(sampled(v), tf.reciprocal(scale)), levels, options), 3),
        )([tf.clipByValue(x, -1e3, 1e3), tf.scalar(0.6)]);
        const scaled = tf.grads((v, scale) =>
          tf.mul(softEntropy(v, levels, { ...options, scale, sampleSize }), 3),
        )([x, tf.scalar(0.6)]);
        expect(scaled[0].shape).toEqual([4, 25]);
        expect(difference(scaled[0].dataSync(), divided[0].dataSync())).toBeLessThan(1e-5);
        expect(difference(scaled[1].dataSync(), divided[1].dataSync())).toBeLessThan(1e-5);
        expect(scaled[1].shape).toEqual([]);
      }
    }
    const levels = uniformLevels(4);
    const scale = tf.scalar(0.25);
    const apart = softHistogram(tf.div(x, scale), levels).dataSync();
    expect(softHistogram(x, levels, { scale }).dataSync()).toEqual(apart);
    const byScale = tf
      .grad((s) => tf.max(softHistogram(x, levels, { scale: s })))(scale)
      .dataSync()[0];
    expect(Number.isFinite(byScale)).toBe(true);
    expect(softEntropy(x, levels, { scale }).dataSync()).toEqual(
      softEntropy(tf.div(x, scale), levels).dataSync(),
    );
  });

  test("a learned scale gets its gradient through x", () => {
    const x = laplace(50, 3);
    const bits = (scale: number) =>
      reference(
        Array.from(x, (v) => v / scale),
        [-2, -1, 0, 1, 2],
        5,
      ).bits;
    const levels = tf.tensor1d([-2, -1, 0, 1, 2]);
    const byScale = tf.grad((scale) => softEntropy(tf.div(tf.tensor1d(x), scale), levels, { sharpness: 5 }));
    expect(byScale(tf.scalar(0.8)).dataSync()[0]).toBeCloseTo(
      (bits(0.8 + 1e-5) - bits(0.8 - 1e-5)) / 2e-5,
      4,
    );
  });

  test("as the sharpness grows, soft entropy goes to the entropy of the rounded values", () => {
    const x = Float32Array.from(laplace(2000, 5), (v) => Math.max(-7, Math.min(7, v * 1.5)));
    const levels = tf.tensor1d(Array.from({ length: 15 }, (_, k) => k - 7));
    const counted = entropy(
      Array.from(x, (v) => Math.floor(v + 0.5) + 7),
      15,
    );
    const errors = [1, 3, 10, 30, 300, 1e6].map((sharpness) =>
      Math.abs(softEntropy(tf.tensor1d(x), levels, { sharpness }).dataSync()[0] - counted),
    );
    expect(errors).toEqual([...errors].sort((a, b) => b - a));
    expect(errors[0]).toBeGreaterThan(0.05);
    expect(errors[5]).toBeLessThan(1e-6);
  });

  test("at any sharpness a value in the middle of a gap is shared evenly, and gradients stay finite", () => {
    for (const sharpness of [1e-6, 0.01, 300, 301, 1e6, 1e300]) {
      expect([...softHistogram(tf.tensor1d([0.5]), uniformLevels(2), { sharpness }).dataSync()]).toEqual([
        0.5, 0.5,
      ]);
      const x = tf.tensor1d([-9, 0.1, 0.9, 1.6, 14]);
      const { value, grad } = tf.valueAndGrad((v) => softEntropy(v, uniformLevels(3), { sharpness }))(x);
      expect(Number.isFinite(value.dataSync()[0])).toBe(true);
      expect(grad.dataSync().every(Number.isFinite)).toBe(true);
    }
  });

  test("the window agrees with full sums for any values, levels and sharpness", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -8, max: 24, noNaN: true }), { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 20 }),
        fc.double({ min: -2, max: 2.7, noNaN: true }),
        (values, count, exponent) => {
          const sharpness = 10 ** exponent;
          const expected = reference(
            values,
            Array.from({ length: count }, (_, k) => k),
            sharpness,
          );
          tf.tidy(() => {
            const x = tf.tensor1d(values);
            const levels = uniformLevels(count);
            expect(
              difference(softHistogram(x, levels, { sharpness }).dataSync(), expected.histogram),
            ).toBeLessThan(1e-6);
            const { value, grad } = tf.valueAndGrad((v) => softEntropy(v, levels, { sharpness }))(x);
            expect(Math.abs(value.dataSync()[0] - expected.bits)).toBeLessThan(2e-6 * (1 + expected.bits));
            for (const [i, g] of grad.dataSync().entries()) {
              // Half an ulp of v = log2 p, times 2 T / N, is what float32 leaves where terms cancel.
              const floor = (4e-6 * sharpness) / values.length;
              expect(Math.abs(g - expected.gradient[i])).toBeLessThan(
                1e-5 * Math.abs(expected.gradient[i]) + floor,
              );
            }
          });
        },
      ),
      { numRuns: backend === "cpu" ? 300 : 50 },
    );
  });

  test("0 <= H <= log2 levels, and the order of values and a common scale don't matter", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: -4, max: 12, noNaN: true }), { minLength: 1, maxLength: 60 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: -20, max: 20 }),
        (values, count, power) => {
          tf.tidy(() => {
            const levels = uniformLevels(count);
            const bits = softEntropy(tf.tensor1d(values), levels).dataSync()[0];
            expect(bits).toBeGreaterThanOrEqual(-1e-6);
            expect(bits).toBeLessThanOrEqual(Math.log2(count) + 1e-6);
            const reversed = softEntropy(tf.tensor1d([...values].reverse()), levels).dataSync()[0];
            expect(reversed).toBeCloseTo(bits, 5);
            // A power of two scales floats exactly, so the result is the same bit for bit.
            const scaled = softEntropy(
              tf.mul(tf.tensor1d(values), 2 ** power),
              tf.mul(levels, 2 ** power),
            ).dataSync()[0];
            expect(scaled).toBe(bits);
          });
        },
      ),
      { numRuns: 60 },
    );
  });

  test("any shape gives the values of the flat tensor, and a gradient of its own shape", () => {
    const x = tf.reshape(tf.tensor1d(laplace(24, 9)), [2, 3, 4]);
    const levels = tf.tensor1d([-1, 0, 1]);
    const flat = tf.reshape(x, [24]);
    expect(softEntropy(x, levels).dataSync()[0]).toBe(softEntropy(flat, levels).dataSync()[0]);
    const gradient = tf.grad((v) => softEntropy(v, levels))(x);
    expect(gradient.shape).toEqual([2, 3, 4]);
    expect(gradient.dataSync()).toEqual(
      tf
        .grad((v) => softEntropy(v, levels))(flat)
        .dataSync(),
    );
  });

  test("inside variableGrads every layer gets its own gradient, time after time, and nothing leaks", () => {
    const layers = Array.from({ length: 12 }, (_, l) => tf.variable(tf.tensor1d(laplace(30, 11 + l))));
    const levels = tf.tensor1d([-1, 0, 1, 2]);
    const step = () =>
      tf.variableGrads(
        () => tf.addN(layers.map((w, l) => tf.mul(softEntropy(w, levels), l + 1))) as tf.Scalar,
      );
    const before = tf.memory().numTensors;
    for (let round = 0; round < 3; round++) {
      const { value, grads } = step();
      expect(tf.memory().numTensors).toBe(before + 1 + layers.length);
      for (const [l, w] of layers.entries()) {
        const expected = reference(w.dataSync(), [-1, 0, 1, 2], 10).gradient.map((g) => g * (l + 1));
        expect(difference(grads[w.name].dataSync(), expected)).toBeLessThan(1e-5);
        tf.tidy(() => w.assign(tf.sub(w, tf.mul(grads[w.name], 0.1)) as tf.Tensor1D));
      }
      tf.dispose([value, grads]);
      expect(tf.memory().numTensors).toBe(before);
    }
    tf.dispose([layers, levels]);
  });

  test("no call leaks a tensor, sampled or not, with its gradient or without", () => {
    const x = tf.tensor1d(laplace(100, 2));
    const uneven = tf.tensor1d([-1, 0, 0.5]);
    const one = tf.tensor1d([0]);
    const before = tf.memory().numTensors;
    for (const levels of [uneven, one]) {
      for (const options of [{}, { sampleSize: 10 }, { sampleSize: 100 }]) {
        softHistogram(x, levels, options).dispose();
        softEntropy(x, levels, options).dispose();
        tf.dispose(tf.valueAndGrad((v) => softEntropy(v, levels, options))(x));
        expect(tf.memory().numTensors).toBe(before);
      }
    }
  });

  test("a constant tensor costs nothing", () => {
    const bits = (value: number) =>
      softEntropy(tf.fill([1000], value), uniformLevels(16), { sharpness: 50 }).dataSync()[0];
    expect(bits(3)).toBeCloseTo(0, 6);
    expect(bits(0)).toBeCloseTo(0, 6);
  });

  test("one level means no entropy and no gradient, but still a path for it", () => {
    const x = tf.tensor1d([0.3, Number.NaN, 7]);
    const level = tf.tensor1d([2]);
    expect([...softHistogram(x, level).dataSync()]).toEqual([1]);
    const { value, grad } = tf.valueAndGrad((v) => softEntropy(v, level))(x);
    expect(value.dataSync()[0]).toBeCloseTo(0, 12);
    expect([...grad.dataSync()]).toEqual([0, 0, 0]);
  });

  test("values beyond the levels, infinite ones too, belong to the outermost level", () => {
    for (const levels of [
      [0, 1, 2, 3],
      [0, 1, 2, 4],
    ]) {
      const x = tf.tensor1d([Number.NEGATIVE_INFINITY, -20, 5.9e37, Number.POSITIVE_INFINITY]);
      const { value, grad } = tf.valueAndGrad((v) => softEntropy(v, tf.tensor1d(levels)))(x);
      expect([...softHistogram(x, tf.tensor1d(levels)).dataSync()]).toEqual([0.5, 0, 0, 0.5]);
      expect(value.dataSync()[0]).toBeCloseTo(1, 6);
      expect(grad.dataSync().map(Math.abs)).toEqual(new Float32Array(4));
    }
  });

  test("one NaN makes everything NaN", () => {
    for (const levels of [
      [0, 1, 2, 3],
      [0, 1, 2, 4],
    ]) {
      const x = tf.tensor1d([0, 3, Number.NaN, 2]);
      expect(softHistogram(x, tf.tensor1d(levels)).dataSync().every(Number.isNaN)).toBe(true);
      const { value, grad } = tf.valueAndGrad((v) => softEntropy(v, tf.tensor1d(levels)))(x);
      expect(value.dataSync()[0]).toBeNaN();
      expect(grad.dataSync().every(Number.isNaN)).toBe(true);
    }
  });
});

test("wrong arguments are named, with what was expected and what came", () => {
  const x = tf.tensor1d([1, 2]);
  const levels = uniformLevels(4);
  const errorOf = (call: () => unknown) => {
    try {
      call();
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`;
    }
    return "none";
  };
  const rejected: [() => unknown, string][] = [
    [() => softEntropy([1, 2] as never, levels), "TypeError: x: expected a float32 tensor, got object"],
    [
      () => softEntropy(tf.tensor1d([1], "int32"), levels),
      "TypeError: x: expected a float32 tensor, got int32 of shape [1]",
    ],
    [
      () => softEntropy(tf.zeros([0, 3]), levels),
      "RangeError: x: expected at least one element, got shape [0,3]",
    ],
    [() => softEntropy(x, [0, 1] as never), "TypeError: levels: expected a tensor of rank 1, got object"],
    [
      () => softEntropy(x, tf.scalar(1) as never),
      "TypeError: levels: expected a tensor of rank 1, got float32 of shape []",
    ],
    [() => softEntropy(x, tf.tensor1d([])), "RangeError: levels: expected at least one level, got none"],
    [
      () => softEntropy(x, tf.tensor1d([0, 2, 2])),
      "RangeError: levels: expected strictly ascending values, got levels[2] = 2 after 2",
    ],
    [
      () => softEntropy(x, tf.tensor1d([0, Number.NaN])),
      "RangeError: levels: expected finite values, got levels[1] = NaN",
    ],
    [
      () => softEntropy(x, levels, { scale: tf.tensor1d([1]) }),
      "TypeError: scale: expected a float32 tensor of rank 0, got float32 of shape [1]",
    ],
    [
      () => softEntropy(x, levels, { scale: 2 as never }),
      "TypeError: scale: expected a float32 tensor of rank 0, got number",
    ],
    [() => withSample([1] as never, 1), "TypeError: x: expected a tensor, got object"],
    [() => withSample(x, 0), "RangeError: sampleSize: expected a positive integer, got 0"],
    [() => withSample(x, 1, 0.5), "RangeError: seed: expected an integer, got 0.5"],
    [
      () => softEntropy(x, levels, { sampleSize: 0 }),
      "RangeError: sampleSize: expected a positive integer, got 0",
    ],
    [
      () => softEntropy(x, levels, { sampleSize: 1.5 }),
      "RangeError: sampleSize: expected a positive integer, got 1.5",
    ],
    [
      () => softEntropy(x, levels, { sampleSize: 1, seed: 0.1 }),
      "RangeError: seed: expected an integer, got 0.1",
    ],
  ];
  for (const sharpness of [0, -10, Number.NaN, Number.POSITIVE_INFINITY]) {
    rejected.push([
      () => softEntropy(x, levels, { sharpness }),
      `RangeError: sharpness: expected a positive finite number, got ${sharpness}`,
    ]);
  }
  const before = tf.memory().numTensors;
  for (const [call, message] of rejected) expect(errorOf(call)).toBe(message);
  // What the calls above made for themselves, and nothing more.
  expect(tf.memory().numTensors - before).toBeLessThanOrEqual(7);
});
