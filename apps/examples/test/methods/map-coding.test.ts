import { dctTransform, forward, inverse, keep, pcaTransform } from "@bitdiet/dct-transform";
import { foldBatchNorm } from "@bitdiet/zoo/nets/batch-norm";
import { cifarResnet, initialCifarResnet } from "@bitdiet/zoo/nets/resnet";
import { byChannel, learnMapCoder } from "@bitdiet/zoo/shipping/feature-maps";
import { layerMicrojoules, READ_PICOJOULES, WRITE_PICOJOULES } from "@bitdiet/zoo/shipping/map-energy";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { eightBitWeights } from "../../methods/feature-map-coding/eight-bit-weights.js";
import {
  coefficientsOf,
  convolutionOf,
  foldTransforms,
  mapGrid,
  nearestCentroids,
  preactivations,
  quantizedBasis,
  symbolsOf,
  valuesOf,
} from "../../methods/feature-map-coding/rotated-maps.js";

beforeAll(() => useBackend("wasm"));

describe("coefficients of feature maps", () => {
  it("keep the worked example's coefficients to half a step, the small component on few levels", () => {
    // x = (1, 1.1), (2, 1.9), (3, 3.2), (4, 3.8); 4 bits for the range of both components.
    const samples = Float32Array.of(1, 1.1, 2, 1.9, 3, 3.2, 4, 3.8);
    const pca = pcaTransform(samples, 2);
    expect(pca.variances[0]).toBeCloseTo(2.364161, 5);
    expect(pca.variances[1]).toBeCloseTo(0.010839, 5);
    const coefficients = forward(pca, samples);
    const grid = mapGrid(pca, coefficients, 4);
    expect(grid.step).toBeCloseTo((0.288194 * 14) / 15, 5);
    const symbols = symbolsOf(grid, coefficients);
    expect(new Set(symbols.filter((_, i) => i % 2 === 1)).size).toBeLessThanOrEqual(3);
    tf.tidy(() => {
      const decoded = valuesOf(grid, symbols, [1, 4, 1]).dataSync();
      // An orthonormal basis: both coefficients are off by at most half a step.
      for (const [i, value] of decoded.entries())
        expect(Math.abs(value - samples[i])).toBeLessThan(grid.step / Math.SQRT2);
    });
  });

  it("are clipped to the frozen range", () => {
    const grid = mapGrid(dctTransform(2), Float32Array.of(-1, 0, 2, 0.5), 2); // step 1, levels -1 .. 2 and 0 .. 1
    expect([...symbolsOf(grid, Float32Array.of(-9, -9, 9, 9))]).toEqual([0, 1, 3, 2]);
  });

  it("are computed by the folded network, shortcuts and truncation included", () => {
    const parameters = initialCifarResnet(20, 10, 3);
    const folded = foldBatchNorm(parameters);
    const x = tf.randomNormal([2, 16, 16, 3], 0, 1, "float32", 5) as tf.Tensor4D;
    const maps = preactivations(folded, x);
    const transforms = Object.fromEntries(
      Object.entries(maps).map(([name, { values, channels }]) => [name, pcaTransform(values, channels)]),
    );
    transforms["layer2.1.relu1"] = {
      ...transforms["layer2.1.relu1"],
      ...keep(transforms["layer2.1.relu1"], 5),
    };
    const rotated = foldTransforms(folded, Object.entries(transforms));
    expect(rotated["layer2.1.conv1.weight"]!.shape).toEqual([3, 3, 32, 5]);
    tf.tidy(() => {
      const logits = cifarResnet(folded, x, {
        preactivation: (convolved, name, shortcut) => {
          const sum = shortcut === undefined ? convolved : (tf.add(convolved, shortcut) as tf.Tensor4D);
          if (name !== "layer2.1.relu1") return sum;
          const transform = transforms[name];
          return tf.tensor4d(inverse(transform, forward(transform, sum.dataSync<"float32">())), sum.shape);
        },
      }).dataSync();
      const turned = cifarResnet(rotated, x, {
        preactivation: (convolved, name, shortcut) => {
          const transform = transforms[name];
          const coefficients = coefficientsOf(transform, convolved, shortcut).dataSync<"float32">();
          const [batch, height, width] = convolved.shape;
          return tf.tensor4d(inverse(transform, coefficients), [batch, height, width, transform.size]);
        },
      }).dataSync();
      for (const [i, logit] of logits.entries()) expect(Math.abs(turned[i] - logit)).toBeLessThan(1e-3);
    });
    tf.dispose([parameters, folded, rotated, x]);
  });

  it("follow the convolution that a ReLU belongs to", () => {
    expect(["relu", "layer1.0.relu1", "layer3.2.relu2"].map(convolutionOf)).toEqual([
      "conv1",
      "layer1.0.conv1",
      "layer3.2.conv2",
    ]);
  });
});

describe("a stored basis", () => {
  it("keeps every entry where there are no more than centroids, and else k-means' optimum", () => {
    const few = Float32Array.of(1, 2, 1, 5);
    expect([...nearestCentroids(few, 3)]).toEqual([...few]);
    expect(
      [...nearestCentroids(Float32Array.of(0, 0.2, 10, 10.4, 0.1), 2)].map((v) => Number(v.toFixed(5))),
    ).toEqual([0.1, 0.1, 10.2, 10.2, 0.1]);
    const basis = dctTransform(64);
    const worst = quantizedBasis(basis).basis.reduce(
      (max, v, i) => Math.max(max, Math.abs(v - basis.basis[i])),
      0,
    );
    expect(worst).toBeLessThan(0.003);
    expect(
      new Set(
        quantizedBasis(
          pcaTransform(
            Float32Array.from({ length: 6400 }, (_, i) => Math.sin(i * i)),
            64,
          ),
        ).basis,
      ).size,
    ).toBeLessThanOrEqual(256);
  });
});

describe("the code of coefficients", () => {
  it("has the worked example's entropies: 0.734 bits with a table a component, 0.881 pooled", () => {
    const symbols = new Uint16Array(20_000);
    for (let i = 0; i < 10_000; i++) {
      symbols[2 * i] = i % 10 === 0 ? 1 : 0;
      symbols[2 * i + 1] = (i >> 3) & 1;
    }
    const coder = learnMapCoder("layer", symbols, byChannel(2), 2);
    expect([...coder.pass(symbols)]).toEqual([...symbols]);
    const total = coder.total();
    expect(total.entropy).toBeCloseTo(0.881291, 4);
    expect((8 * total.codedBytes) / total.values).toBeLessThan(0.745);
    expect((8 * total.codedBytes) / total.values).toBeGreaterThan(0.734);
    expect(total.huffmanBytes).toBeGreaterThan(20_000 / 8);
  });

  it("costs what DDR3 takes in the published model", () => {
    expect(READ_PICOJOULES).toBeCloseTo(77.39, 2);
    expect(WRITE_PICOJOULES).toBeCloseTo(63.32, 2);
    expect(layerMicrojoules(1e6, 0)).toBeCloseTo(77.39, 2);
  });
});

it("8-bit weights have the largest weight of a channel at level 127, and biases as they were", () => {
  const weight = tf.tensor2d([1, 0.002, -0.3, 0.001], [2, 2]);
  const bias = tf.tensor1d([0.123]);
  const { "a.weight": rounded, "a.bias": kept } = eightBitWeights({ "a.weight": weight, "a.bias": bias });
  expect(rounded!.dataSync()[0]).toBeCloseTo(1, 6);
  expect(rounded!.dataSync()[2]).toBeCloseTo(-38 / 127, 6);
  expect(rounded!.dataSync()[3]).toBeCloseTo((0.002 * 64) / 127, 6);
  expect(kept!.dataSync()[0]).toBeCloseTo(0.123, 6);
  tf.dispose([weight, bias, rounded!, kept!]);
});
