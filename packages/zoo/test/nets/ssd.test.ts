import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { uniform } from "../../src/data/random.js";
import { priorBoxes } from "../../src/detection/priors.js";
import type { FloatTensor } from "../../src/nets/checkpoint-file.js";
import { parametersFromPyTorch } from "../../src/nets/parameters.js";
import { SSD_300, SSD_512, ssd, ssdInput } from "../../src/nets/ssd.js";
import { useBackend } from "../../src/training/backend.js";
import { distance, hasPython, reference } from "../detection/reference.js";

beforeAll(() => useBackend("wasm"));

/** Shapes of a checkpoint, as PyTorch keeps them; `thin` divides all widths but the heads'. */
function shapesOf(variant: typeof SSD_300, classes: number, thin = 1): Record<string, number[]> {
  const shapes: Record<string, number[]> = { "L2Norm.weight": [512 / thin] };
  const add = (name: string, inputs: number, outputs: number, size: number) => {
    shapes[`${name}.weight`] = [outputs, inputs, size, size];
    shapes[`${name}.bias`] = [outputs];
  };
  const widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512, 1024].map(
    (width) => width / thin,
  );
  [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31].forEach((module, i) => {
    add(`vgg.${module}`, widths[i - 1] ?? 3, widths[i], 3);
  });
  add("vgg.33", 1024 / thin, 1024 / thin, 1);
  const sources = [512 / thin, 1024 / thin];
  variant.extras.forEach((_, pair) => {
    const [narrow, wide] = (pair === 0 ? [256, 512] : [128, 256]).map((width) => width / thin);
    add(`extras.${2 * pair}`, sources.at(-1)!, narrow, 1);
    add(`extras.${2 * pair + 1}`, narrow, wide, pair === 4 ? 4 : 3);
    sources.push(wide);
  });
  for (const [i, { aspectRatios }] of variant.priors.maps.entries()) {
    const boxes = 2 + 2 * aspectRatios.length;
    add(`loc.${i}`, sources[i], 4 * boxes, 3);
    add(`conf.${i}`, sources[i], classes * boxes, 3);
  }
  return shapes;
}

/** A hook that notes names. */
const seen =
  (names: Set<string>) =>
  <T>(tensor: T, name: string): T => {
    names.add(name);
    return tensor;
  };

const sizeOf = (shape: number[]) => shape.reduce((product, side) => product * side, 1);

describe("SSD", () => {
  it("has as many parameters as are known of SSD300, and those of SSD512", () => {
    const count = (variant: typeof SSD_300) =>
      Object.values(shapesOf(variant, 21)).reduce((sum, shape) => sum + sizeOf(shape), 0);
    expect(count(SSD_300)).toBe(26_285_486);
    expect(count(SSD_512)).toBe(27_188_676);
  });

  it("takes Caffe's mean from red, green and blue", () => {
    expect([...ssdInput(Uint8Array.of(123, 117, 105, 0, 0, 0))]).toEqual([0, 0, 1, -123, -117, -104]);
  });

  for (const [side, variant] of [
    [300, SSD_300],
    [512, SSD_512],
  ] as const) {
    it.skipIf(!hasPython)(
      `of ${side} gives what the second implementation does, and shows its hooks all there is`,
      () => {
        const [random, classes] = [uniform(side), 3];
        const parameters: Record<string, FloatTensor> = {};
        for (const [name, shape] of Object.entries(shapesOf(variant, classes, 16))) {
          const scale = shape.length === 4 ? Math.sqrt(6 / sizeOf(shape.slice(1))) : 1;
          const values = Float32Array.from({ length: sizeOf(shape) }, () => scale * (2 * random() - 1));
          parameters[name] = { shape, values };
        }
        const planes = Float32Array.from({ length: 3 * side * side }, (_, i) => 50 * Math.sin(0.37 * i));
        const expected = reference({ ssd: { parameters, side, classes, extras: variant.extras } }).ssd;

        const own = parametersFromPyTorch(parameters);
        const before = tf.memory().numTensors;
        const [weights, activations] = [new Set<string>(), new Set<string>()];
        const { offsets, logits } = tf.tidy(() => {
          const x = tf.transpose(tf.tensor4d(planes, [1, 3, side, side]), [0, 2, 3, 1]) as tf.Tensor4D;
          const outputs = ssd(variant, own, x, {
            weight: seen(weights),
            activation: seen(activations),
          });
          return { offsets: outputs.offsets.dataSync(), logits: outputs.logits.dataSync() };
        });
        expect(tf.memory().numTensors).toBe(before);
        expect(offsets.length).toBe(priorBoxes(variant.priors).length);
        for (const [values, wanted] of [
          [offsets, expected.offsets],
          [logits, expected.logits],
        ]) {
          const largest = distance(wanted, new Float32Array(wanted.length));
          expect(largest).toBeGreaterThan(0.1);
          expect(distance(values, wanted) / largest).toBeLessThan(1e-4);
        }
        expect([...weights].sort()).toEqual(
          Object.keys(parameters)
            .filter((name) => parameters[name].shape.length > 1)
            .sort(),
        );
        expect(activations.size).toBe(15 + 1 + 2 * variant.extras.length);
        tf.dispose(own);
      },
    );
  }
});
