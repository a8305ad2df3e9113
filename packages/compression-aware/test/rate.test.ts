import "./setup.js";
import { affineQuantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { describe, expect, test } from "vitest";
import { orderZeroRate, rateMeter } from "../src/rate.js";

describe("a rate meter", () => {
  test("averages by size, and a layer's factor weighs its bits: 100 values of 2 bits and 300 of 1 are 1.25", () => {
    tf.tidy(() => {
      const quantizer = affineQuantizer({ bits: 2, scale: tf.scalar(1) });
      const at = { sharpness: 1000, seed: 0 };
      const two = tf.tensor1d(Array.from({ length: 100 }, (_, i) => i % 4));
      const one = tf.tensor1d(Array.from({ length: 300 }, (_, i) => i % 2));
      const mean = (layer: (name: string) => number) => {
        const meter = rateMeter({ layer });
        meter.add(two, quantizer, { name: "two", ...at });
        meter.add(one, quantizer, { name: "one", ...at });
        return meter.mean().dataSync()[0];
      };
      expect(mean(() => 1)).toBeCloseTo(1.25, 5);
      expect(mean((name) => (name === "two" ? 2 : 1))).toBeCloseTo(1.75, 5);
    });
  });

  test("looks at a tensor with a step a channel as at one of one step", () => {
    tf.tidy(() => {
      const at = { name: "w", sharpness: 5, seed: 2 };
      const w = tf.randomNormal([30, 4], 0, 1, "float32", 1);
      const perChannel = affineQuantizer({ bits: 4, signed: true, scale: tf.fill([4], 0.3) });
      const single = affineQuantizer({ bits: 4, signed: true, scale: tf.scalar(0.3) });
      const [a, b] = [perChannel, single].map((one) => orderZeroRate()(w, one, at).bits.dataSync()[0]);
      expect(a).toBeCloseTo(b, 5);
    });
  });
});
