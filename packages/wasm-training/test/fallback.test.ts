import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { heapOf } from "../src/heap.js";
import { batchNorm, gelu, layerNorm, registerTrainingKernels } from "../src/index.js";
import { expectSameOnCpu, randomSource, randomTensor } from "./backends.js";
import {
  convolutionCases,
  depthwiseCases,
  einsumCases,
  elementaryCases,
  poolingCases,
  registeredGradientCases,
  segmentCases,
} from "./gradient-cases.js";

// A backend that keeps its memory to itself, as a later version might.
beforeAll(async () => {
  await tf.setBackend("wasm");
  const { wasm } = tf.backend() as unknown as { wasm: { asm: object } };
  wasm.asm = { ...wasm.asm, memory: undefined };
  registerTrainingKernels();
  expect(heapOf(tf.backend())).toBeNull();
});

describe("where the heap is out of reach the composed kernels equal the cpu backend's", () => {
  it("convolution gradients", async () => {
    for (const { label, compute } of convolutionCases(30, 1100)) {
      // The shipped forward convolution pads some cases wrongly: its gradients alone are ours here.
      await expectSameOnCpu(() => compute().slice(1), 1e-5, label);
    }
  });
  it("depthwise gradients", async () => {
    for (const { label, compute } of depthwiseCases(30, 1200)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("pooling gradients", async () => {
    for (const { label, compute } of poolingCases(30, 1300)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("gradients of gather and segment sums", async () => {
    for (const { label, compute } of segmentCases(15, 1500)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("einsum, sums, slices, casts, dense layers, losses", async () => {
    for (const { label, compute } of [...einsumCases(), ...elementaryCases()]) {
      await expectSameOnCpu(compute, 1e-5, label);
    }
  });
  it("every kind of gradient that tfjs registers for training", async () => {
    for (const { label, compute } of registeredGradientCases()) await expectSameOnCpu(compute, 5e-5, label);
  });
  it("batchNorm, layerNorm and gelu with their gradients", async () => {
    await expectSameOnCpu(() => {
      const random = randomSource(8);
      const x = randomTensor<tf.Rank.R4>([2, 5, 5, 6], random);
      const [gamma, beta] = [randomTensor<tf.Rank.R1>([6], random), randomTensor<tf.Rank.R1>([6], random)];
      const dy = randomTensor(x.shape, random);
      const batch = (a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) =>
        batchNorm(a as tf.Tensor4D, b as tf.Tensor1D, c as tf.Tensor1D, 1e-5).output;
      const layer = (a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) =>
        layerNorm(a, b as tf.Tensor1D, c as tf.Tensor1D, 1e-5);
      return [
        batch(x, gamma, beta),
        ...tf.grads(batch)([x, gamma, beta], dy),
        layer(x, gamma, beta),
        ...tf.grads(layer)([x, gamma, beta], dy),
        gelu(x),
        tf.grad((a) => gelu(a))(x, dy),
      ];
    }, 2e-5);
  });
});
