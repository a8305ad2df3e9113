import { affineQuantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { readHeader } from "bitdiet";
import { beforeAll, describe, expect, test } from "vitest";
import { normal, uniform } from "../../src/data/random.js";
import { fixedWidth, packed } from "../../src/shipping/baselines.js";
import { weightCosts } from "../../src/shipping/measured.js";
import { arrived, ship } from "../../src/shipping/ship.js";
import { useBackend } from "../../src/training/backend.js";

beforeAll(() => useBackend("cpu"));

const gaussian = normal(uniform(5));
const values = (size: number) => Float32Array.from({ length: size }, gaussian);
const network = () => ({
  "conv1.weight": tf.tensor(values(3 * 3 * 4 * 8), [3, 3, 4, 8]),
  "conv1.bias": tf.tensor(values(8)),
  "word_embeddings.weight": tf.tensor(values(20 * 6), [20, 6]),
  "norm.gamma": tf.tensor([1, 0.5, -2]),
});
const quantizer = (name: string) =>
  name.endsWith(".weight")
    ? affineQuantizer({
        bits: 4,
        signed: true,
        scale: name.startsWith("conv1") ? tf.linspace(0.2, 0.4, 8) : 0.25,
      })
    : undefined;

describe("a shipped network", () => {
  test("arrives as fake quantization has it, everything else bit for bit, and no tensor is left", async () => {
    const parameters = network();
    const before = tf.memory().numTensors;
    const scales = { relu1: 0.1, heads: Float32Array.of(0.5, 0.25, 0.7), relu2: 0.3 };
    const { file } = ship({ parameters, quantizer, activationScales: scales });
    expect(tf.memory().numTensors).toBe(before);
    const { parameters: there, activationScales } = await arrived(file, scales);
    expect(activationScales).toEqual({
      relu1: Math.fround(0.1),
      heads: Float32Array.of(0.5, 0.25, 0.7),
      relu2: Math.fround(0.3),
    });
    for (const [name, tensor] of Object.entries(parameters)) {
      const expected = tf.tidy(() => (quantizer(name)?.fakeQuantize(tensor) ?? tensor).dataSync());
      expect(there[name].dataSync(), name).toEqual(expected);
      expect(there[name].shape).toEqual(tensor.shape);
    }
    tf.dispose([parameters, there]);
  });

  test("keeps exactly what is exact, in half the bytes where bfloat16 holds it", () => {
    const parameters = network();
    const { tensors } = readHeader(ship({ parameters, quantizer }).file);
    const dtypes = Object.fromEntries(tensors.map(({ name, dtype }) => [name, dtype]));
    expect(dtypes["norm.gamma"]).toBe("bfloat16");
    expect(dtypes["conv1.bias"]).toBe("float32");
    tf.dispose(parameters);
  });

  test("costs every byte of its file, beside its entropy and its packed width", () => {
    const parameters = network();
    const shipped = ship({ parameters, quantizer });
    const costs = weightCosts(shipped);
    const weights = 3 * 3 * 4 * 8 + 20 * 6;
    expect(costs.bytes).toBe(shipped.file.length);
    expect(costs.coded).toBeCloseTo((8 * shipped.file.length) / weights, 9);
    expect(costs.fixedWidth).toBe(4);
    expect(costs.entropy).toBeLessThan(4);
    expect(costs.layers.map(({ name }) => name)).toEqual(["conv1.weight", "word_embeddings.weight"]);
    tf.dispose(parameters);
  });
});

describe("integers bit-packed", () => {
  test("have the least width that holds them on a symmetric scale", () => {
    const of = (...integers: number[]) => ({ integers: Int32Array.from(integers) });
    expect([of(0, 0), of(1), of(-2, 1), of(127), of(-128)].map(fixedWidth)).toEqual([0, 2, 3, 8, 9]);
    expect([...packed(of(0, -1, 1, 0))]).toEqual([0b01_00_10_01]);
    expect(packed(of(0, 0, 0)).length).toBe(0);
  });
});
