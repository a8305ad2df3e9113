import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, it } from "vitest";
import { heapOf } from "../src/heap.js";
import { registerTrainingKernels } from "../src/index.js";
import { expectSameOnCpu } from "./backends.js";
import {
  convolutionCases,
  depthwiseCases,
  einsumCases,
  matMulCases,
  poolingCases,
  segmentCases,
} from "./gradient-cases.js";

beforeAll(async () => {
  registerTrainingKernels();
  await tf.setBackend("wasm");
  expect(heapOf(tf.backend())).not.toBeNull();
});

describe("on the shared heap the kernels equal the cpu backend's", () => {
  it("convolution, forward and both gradients, over random shapes, strides and paddings", async () => {
    for (const { label, compute } of convolutionCases(80, 100)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("depthwise gradients over random shapes, strides, paddings, dilations and multipliers", async () => {
    for (const { label, compute } of depthwiseCases(60, 200)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("pooling gradients, also where a window holds negative values alone", async () => {
    for (const { label, compute } of poolingCases(60, 300)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("matrix products with transposes, batches and broadcasting, and their gradients", async () => {
    for (const { label, compute } of matMulCases(80, 400)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("gradients of gather, and segment sums that drop ids outside the range", async () => {
    for (const { label, compute } of segmentCases(30, 500)) await expectSameOnCpu(compute, 1e-5, label);
  });
  it("einsum of one and two tensors", async () => {
    for (const { label, compute } of einsumCases()) await expectSameOnCpu(compute, 1e-5, label);
  });
});
