/** The module runs in Chromium as in Node, on the shared heap, and gives the same bits: WebAssembly's SIMD is exact. */
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-layers";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { beforeAll, expect, it } from "vitest";
import { heapOf } from "../src/heap.js";
import { batchNorm, gelu, layerNorm, registerTrainingKernels } from "../src/index.js";

beforeAll(async () => {
  if (typeof window !== "undefined") {
    // Vite serves the backend's binaries under these addresses.
    const urls = await Promise.all([
      // @ts-expect-error resolved by Vite
      import("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url"),
      // @ts-expect-error resolved by Vite
      import("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url"),
      // @ts-expect-error resolved by Vite
      import("@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url"),
    ]);
    const [plain, simd, threaded] = urls.map((module: { default: string }) => module.default);
    setWasmPaths({
      "tfjs-backend-wasm.wasm": plain,
      "tfjs-backend-wasm-simd.wasm": simd,
      "tfjs-backend-wasm-threaded-simd.wasm": threaded,
    });
  }
  registerTrainingKernels();
  await tf.setBackend("wasm");
});

/** FNV-1a of the bytes of the tensors' values. */
function checksum(tensors: tf.Tensor[]): string {
  let hash = 0x811c9dc5;
  for (const tensor of tensors) {
    const values = tensor.dataSync() as Float32Array;
    for (const byte of new Uint8Array(values.buffer, values.byteOffset, values.byteLength)) {
      hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
    }
  }
  return hash.toString(16);
}

/** Numbers in [−1, 1) by a linear congruence, so exact everywhere. */
function numbers(shape: number[], seed: number): tf.Tensor {
  let state = seed;
  const size = shape.reduce((product, length) => product * length, 1);
  const values = Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  });
  return tf.tensor(values, shape);
}

it("gradients of convolution, batch norm, layer norm, GELU and matMul have the same bits everywhere", () => {
  expect(heapOf(tf.backend())).not.toBeNull();
  const parameters = [
    numbers([2, 9, 10, 8], 1),
    numbers([3, 3, 8, 12], 2),
    numbers([12], 3),
    numbers([12], 4),
    numbers([12, 5], 5),
  ];
  const network = (...tensors: tf.Tensor[]) => {
    const [x, filter, gamma, beta, dense] = tensors;
    const [g, b] = [gamma as tf.Tensor1D, beta as tf.Tensor1D];
    const y = tf.relu(
      batchNorm(tf.conv2d(x as tf.Tensor4D, filter as tf.Tensor4D, 1, "same"), g, b, 1e-5).output,
    );
    const pooled = tf.reshape(tf.maxPool(y, 2, 2, "same"), [-1, 12]);
    return tf.sum(tf.matMul(gelu(layerNorm(pooled, g, b, 1e-5)), dense)) as tf.Scalar;
  };
  const { value, grads } = tf.valueAndGrads(network)(parameters);
  expect(checksum([value, ...grads])).toBe("28ce0170");
});
