import { expect, test } from "vitest";
import { decodeModel, encodeTrained, type Model } from "../src/index.js";
import { dequantize } from "../src/quantizer.js";

test("integers of training are kept as they are, other numbers bit for bit, and names must be the model's", async () => {
  const quantized = {
    shape: [8, 64],
    integers: Int32Array.from({ length: 512 }, (_, i) => Math.round(3 * Math.sin(i * i))),
    axis: 1,
    steps: Float32Array.of(0.1),
  };
  const bias = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i) / 3);
  const tensor = (name: string, shape: number[], values: Float32Array) => ({
    name,
    shape,
    dtype: "float32" as const,
    use: { kind: "vector" as const, reason: "" },
    bytes: async () => new Uint8Array(values.buffer),
  });
  const model: Model = {
    format: "safetensors",
    metadata: {},
    tensors: [tensor("kernel", [8, 64], dequantize(quantized)), tensor("bias", [64], bias)],
  };
  const bytes = await encodeTrained(model, new Map([["kernel", quantized]]));
  expect(bytes.length).toBeLessThan(512);
  const [kernel, same] = (await decodeModel(bytes)).tensors.map(({ values }) => values);
  expect(kernel).toEqual(dequantize(quantized));
  expect(same).toEqual(bias);
  await expect(encodeTrained(model, new Map([["kernl", quantized]]))).rejects.toThrow('got "kernl"');
});
