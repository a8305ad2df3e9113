// tfjs with both backends and the gradients that tfjs-core alone does not register.
export { uniform } from "../../../test/random.js";

import { uniform } from "../../../test/random.js";

import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-wasm";
import "@tensorflow/tfjs-layers";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeEach, describe, expect } from "vitest";
import type { Quantizer } from "../src/index.js";

/** Runs a suite once on each backend; each test must leave as many tensors as it found. */
export function onEachBackend(suite: (backend: string) => void): void {
  describe.each(["cpu", "wasm"])("on the %s backend", (backend) => {
    let before = 0;
    beforeEach(async () => {
      await tf.setBackend(backend);
      before = tf.memory().numTensors;
      tf.engine().startScope();
    });
    afterEach(() => {
      tf.engine().endScope();
      expect(tf.memory().numTensors).toBe(before);
    });
    suite(backend);
  });
}

/** Bit patterns, so that -0 and 0 differ. */
export function bits(x: tf.Tensor): number[] {
  const values = Float32Array.from(x.dataSync());
  return [...new Uint32Array(values.buffer)];
}

export function expectDecodedExactly(quantizer: Quantizer, x: tf.Tensor): void {
  const indices = quantizer.quantize(x);
  const decoded = quantizer.dequantize(indices);
  expect(indices.dtype).toBe("int32");
  expect(indices.shape).toEqual(x.shape);
  expect(decoded.shape).toEqual(x.shape);
  for (const index of indices.dataSync()) {
    expect(index).toBeGreaterThanOrEqual(0);
    expect(index).toBeLessThan(quantizer.levels.size);
  }
  expect(bits(quantizer.fakeQuantize(x))).toEqual(bits(decoded));
}

/** Seeded normal values (mulberry32 and Box-Muller), the same on every backend. */
export function normal(count: number, seed: number, mean = 0, deviation = 1): Float32Array {
  const random = uniform(seed);
  return Float32Array.from({ length: count }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return mean + deviation * radius * Math.cos(2 * Math.PI * random());
  });
}
