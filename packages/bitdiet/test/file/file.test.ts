import { softEntropy } from "@bitdiet/entropy-loss";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as ans from "@bitdiet/ans";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeModel, decodeQuantized, decodeTensor, readHeader } from "../../src/file/decode.js";
import {
  encodeModel,
  encodeTensor,
  estimateModel,
  type QuantizedSource,
  type SourceTensor,
} from "../../src/file/encode.js";
import { dequantize, type QuantizedTensor } from "../../src/file/quantized-tensor.js";
import { nearestOnGrid } from "../../src/file/step-grid.js";
import { dtypeNames, tensorBytes } from "../../src/model.js";
import { bytesOf, everyKind, laplace, random, weight } from "../samples.js";

/** The one tensor of a file. */
async function throughFile(tensor: SourceTensor, minGain = 0) {
  const bytes = encodeModel({ tensors: [tensor] }, { minGain });
  return { bytes, tensor: (await decodeModel(bytes)).tensors[0] };
}
const source = (quantized: QuantizedTensor): QuantizedSource => ({ name: "w", dtype: "float32", quantized });

describe("a quantized tensor", () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 5 });
  const tensors = shapes.chain((shape) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return fc.nat(Math.max(0, shape.length - 1)).chain((axis) => {
      const rows = shape[axis] ?? 1;
      const step = fc.oneof(
        fc.constant(0),
        fc.nat(60).map((i) => nearestOnGrid(2 ** (i / 8 - 6), 8)),
        fc.float({ min: 0, max: 4, noNaN: true }),
      );
      return fc.record({
        shape: fc.constant(shape),
        axis: fc.constant(axis),
        integers: fc
          .array(
            fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -(2 ** 31) + 1, max: 2 ** 31 - 1 })),
            { minLength: size, maxLength: size },
          )
          .map((list) => Int32Array.from(list)),
        steps: fc.oneof(
          step.map((one) => Float32Array.of(one)),
          fc.array(step, { minLength: rows, maxLength: rows }).map((list) => Float32Array.from(list)),
        ),
      });
    });
  });

  test("comes back with exactly its values, whatever the shape, axis, integers and steps, by either coder", async () => {
    await fc.assert(
      fc.asyncProperty(tensors, fc.constantFrom(0, 1), async (quantized, minGain) => {
        const { bytes, tensor } = await throughFile(source(quantized), minGain);
        expect(tensor.shape).toEqual(quantized.shape);
        const expected = dequantize(quantized).map((value) => value + 0);
        expect((tensor.values as Float32Array).map((value) => value + 0)).toEqual(expected);
        const integers = await decodeQuantized(bytes, readHeader(bytes).tensors[0]);
        expect(integers.steps).toEqual(quantized.steps);
        expect(dequantize(integers).map((value) => value + 0)).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });

  test("takes the same bytes in the layouts of TF.js and of torch: cabac sees the same rows of the same kernels", () => {
    const [height, width, inputs, outputs] = [3, 3, 8, 16];
    const hwio = weight([height, width, inputs, outputs], 3, 1.5, 1);
    const oihw = { ...hwio, shape: [outputs, inputs, height, width], axis: 0 };
    const [a, b] = [dequantize(hwio), dequantize(oihw)];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        for (let i = 0; i < inputs; i++)
          for (let o = 0; o < outputs; o++)
            expect(a[((y * width + x) * inputs + i) * outputs + o]).toBe(
              b[((o * inputs + i) * height + y) * width + x],
            );
    expect(encodeTensor(source(hwio)).bytes).toEqual(encodeTensor(source(oihw)).bytes);
    const dense = weight([30, 20], 1, 1.5, 2);
    const linear = { ...dense, shape: [20, 30], axis: 0 };
    expect(dequantize(dense)).toEqual(
      dequantize(linear).map((_, i, values) => values[(i % 20) * 30 + Math.floor(i / 20)]),
    );
    expect(encodeTensor(source(dense)).bytes).toEqual(encodeTensor(source(linear)).bytes);
  });

  test("spends nothing on the integers of pruned slices", () => {
    const full = weight([64, 100], 0, 2, 3);
    const half = { ...full, steps: full.steps.map((step, i) => (i % 2 === 0 ? 0 : step)) };
    const [a, b] = [full, half].map((quantized) => encodeTensor(source(quantized)).bytes.length);
    expect(b).toBeLessThan(0.54 * a);
  });

  test("comes back from bytes by ans, rows and columns of any number in any layout, some of them pruned", async () => {
    const next = random(8);
    const layouts: [number[], number][] = [
      [[3, 3, 5, 70], 3],
      [[70, 5, 3, 3], 0],
      [[3, 3, 64, 33], 2],
      [[33, 65], 1],
      [[97, 31], 0],
      [[31], 0],
      [[2, 3, 7], 1],
      [[40_000], 0],
    ];
    for (const [shape, axis] of layouts) {
      const integers = Int32Array.from({ length: shape.reduce((a, b) => a * b) }, () =>
        Math.floor(256 * next() - 128),
      );
      for (const count of [1, shape[axis]]) {
        const steps = Float32Array.from({ length: count }, () => (count > 1 && next() < 0.2 ? 0 : next()));
        const quantized = { shape, integers, axis, steps };
        const tensor = source(quantized);
        expect(encodeTensor(tensor, { minGain: 1 }).entry.quantized?.coder).toBe(1);
        // -0 of pruned integers is 0.
        const expected = dequantize(quantized).map((value) => value + 0);
        expect((await throughFile(tensor, 1)).tensor.values).toEqual(expected);
        expect((await throughFile({ ...tensor, refinementBits: 3 }, 1)).tensor.values).toEqual(expected);
      }
    }
  });

  test("takes no more than the entropy of its integers, a per cent and a few bytes; less where it has structure", async () => {
    for (const scale of [0.2, 0.6, 1.5, 6]) {
      const integers = laplace(40_000, scale, 11);
      const counts = new Map<number, number>();
      for (const integer of integers) counts.set(integer, (counts.get(integer) ?? 0) + 1);
      let entropy = 0;
      for (const count of counts.values()) entropy -= count * Math.log2(count / integers.length);
      const quantized = { shape: [40, 1000], integers, axis: 0, steps: Float32Array.of(0.5) };
      const { bytes, tensor } = await throughFile(source(quantized));
      expect(tensor.values).toEqual(dequantize(quantized));
      expect(bytes.length).toBeLessThan((1.01 * entropy) / 8 + 120);
      expect(bytes.length).toBeGreaterThan((0.99 * entropy) / 8);
    }
  });

  test("is coded by a faster coder where a slower one gains less than asked", () => {
    const quantized = weight([32, 288], 0, 1, 4);
    // Rows of two scales: ans takes a tenth more or so, and the weight coder about what cabac takes.
    const wide = laplace(32 * 288, 8, 5);
    quantized.integers.forEach((_, i) => {
      if (i < 16 * 288) quantized.integers[i] = wide[i];
    });
    const coders = [0.02, 0.9, 1].map(
      (minGain) => encodeTensor(source(quantized), { minGain }).entry.quantized?.coder,
    );
    expect(coders).toEqual([2, 1, 1]);
    const lengths = [0, 0.02, 1].map(
      (minGain) => encodeTensor(source(quantized), { minGain }).entry.part.length,
    );
    expect(lengths).toEqual(lengths.slice().sort((a, b) => a - b));
    const large = (value: number) =>
      encodeTensor(source({ ...quantized, integers: quantized.integers.map(() => value) }), { minGain: 1 })
        .entry.quantized?.coder;
    expect([large(40_000), large(2 ** 30)]).toEqual([2, 0]);
  });

  test("in two parts is coarse after the first and exact after the second", async () => {
    const quantized = weight([16, 200], 0, 9, 6);
    const bytes = encodeModel({
      tensors: [
        { ...source(quantized), refinementBits: 3 },
        { ...source(quantized), name: "v" },
      ],
    });
    const { tensors } = readHeader(bytes);
    const [{ part, refinementPart }, second] = tensors;
    expect(refinementPart?.start).toBe(second.part.start + second.part.length);
    expect((await decodeTensor(bytes, tensors[0])).values).toEqual(dequantize(quantized));
    const { values: coarse } = await decodeTensor(bytes, { ...tensors[0], refinementPart: undefined });
    const exact = dequantize(quantized);
    coarse.forEach((value, i) => {
      const step = 8 * quantized.steps[Math.floor(i / 200)];
      expect(value).toBe(Math.fround(Math.round(value / step) * step));
      expect(Math.abs(value - exact[i])).toBeLessThanOrEqual(step / 2 + 1e-6);
    });
    expect(part.length).toBeLessThan(0.6 * (part.length + (refinementPart?.length ?? 0)));
  });
});

test("progressive files give a coarse model from their first half", async () => {
  const tensors = [1, 2, 3].map(
    (i): SourceTensor => ({ ...source(weight([20, 90], 0, 12, i)), name: `w${i}` }),
  );
  const bytes = encodeModel({ tensors }, { progressive: true });
  const header = readHeader(bytes);
  const end = header.tensors[2].part.start + header.tensors[2].part.length;
  expect(end).toBeLessThan(0.6 * bytes.length);
  const exact = (await decodeModel(bytes)).tensors[0].values;
  expect(exact).toEqual((await decodeModel(encodeModel({ tensors }))).tensors[0].values);
  const { values: coarse } = await decodeTensor(bytes, { ...header.tensors[0], refinementPart: undefined });
  let [signal, noise] = [0, 0];
  exact.forEach((value, i) => {
    signal += value ** 2;
    noise += (value - coarse[i]) ** 2;
  });
  expect(10 * Math.log10(signal / noise)).toBeGreaterThan(8);
  expect(noise).toBeGreaterThan(0);
});

describe("a lossless tensor", () => {
  test("comes back bit by bit, whatever its type", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...dtypeNames), fc.nat(200), fc.nat(), async (dtype, count, seed) => {
        const next = random(seed);
        const bytes = Uint8Array.from({ length: tensorBytes(dtype, [count]) ?? count }, (_, i) =>
          i % 3 === 0 ? 256 * next() : 7,
        );
        const shape = dtype === "string" ? [3] : [count];
        const { tensor } = await throughFile({ name: "x", dtype, shape, bytes });
        expect(tensor.dtype).toBe(dtype);
        expect(bytesOf(tensor.values)).toEqual(bytes);
        expect(tensor.values instanceof Float32Array).toBe(dtype === "float32");
      }),
    );
  });

  test("of floats takes fewer bytes than ans over the bytes as they lie, and than the bytes", async () => {
    const next = random(4);
    const weights = Float32Array.from({ length: 20_000 }, () => 0.05 * (next() + next() + next() - 1.5));
    const bytes = bytesOf(weights);
    const { bytes: file } = await throughFile({ name: "x", dtype: "float32", shape: [20_000], bytes });
    expect(file.length).toBeLessThan(0.87 * bytes.length);
    expect(file.length).toBeLessThan(0.9 * ans.compress(bytes).length);
  });
});

describe("a model of every kind of tensor", async () => {
  const model = everyKind();
  const bytes = encodeModel(model);
  const decoded = await decodeModel(bytes);

  test("comes back whole: names, types, shapes, values and metadata", () => {
    expect(decoded.metadata).toEqual(model.metadata);
    expect(decoded.tensors.map(({ name, dtype }) => ({ name, dtype }))).toEqual(
      model.tensors.map(({ name, dtype }) => ({ name, dtype })),
    );
    model.tensors.forEach((tensor, i) => {
      const { values, shape } = decoded.tensors[i];
      if (!("quantized" in tensor)) expect(bytesOf(values)).toEqual(tensor.bytes);
      else
        expect(values.map((value) => value + 0)).toEqual(
          dequantize(tensor.quantized).map((value) => value + 0),
        );
      expect(shape).toEqual("quantized" in tensor ? tensor.quantized.shape : tensor.shape);
    });
  });

  test("is predicted before it is written: each tensor, and the file", () => {
    const estimate = estimateModel(model);
    const { tensors } = readHeader(bytes);
    estimate.tensors.forEach(({ name, bytes: predicted }, i) => {
      const written = tensors[i].part.length + (tensors[i].refinementPart?.length ?? 0);
      expect([name, Math.abs(predicted - written) <= 0.002 * written + 3]).toEqual([name, true]);
    });
    expect(Math.abs(estimate.bytes - bytes.length)).toBeLessThan(0.002 * bytes.length + 20);
    const sum = [...estimate.tensors, ...estimate.metadata].reduce(
      (total, part) => total + part.bytes,
      estimate.header,
    );
    expect(estimate.bytes).toBe(sum);
  });

  test("has a header of some ten bytes a tensor", () => {
    expect(readHeader(bytes).length).toBeLessThan(24 * model.tensors.length);
    const many = Array.from({ length: 80 }, (_, i): SourceTensor => {
      const name = `layer${Math.floor(i / 20) + 1}.${Math.floor(i / 4) % 5}.${["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"][i % 4]}`;
      return {
        name,
        dtype: "float32",
        quantized: i % 2 === 0 ? weight([16, 8, 3, 3], 0, 1, i) : weight([16], 0, 9, i),
      };
    });
    expect(readHeader(encodeModel({ tensors: many })).length).toBeLessThan(700);
  });
});

describe("encodeModel(model)", () => {
  const good = weight([2, 3], 0, 1, 1);
  test.each<[string, unknown, string]>([
    [
      "integers of another type",
      source({ ...good, integers: [1] as unknown as Int32Array }),
      'tensor "w": integers: expected an Int32Array, got object',
    ],
    [
      "too few integers",
      source({ ...good, integers: new Int32Array(5) }),
      'tensor "w": integers: expected 6 for the shape [2,3], got 5',
    ],
    [
      "an axis beyond the shape",
      source({ ...good, axis: 2 }),
      'tensor "w": axis: expected one of the 2 axes of [2,3], got 2',
    ],
    [
      "too many steps",
      source({ ...good, steps: new Float32Array(3) }),
      'tensor "w": steps: expected 1, or 2 along axis 0, got 3',
    ],
    [
      "a negative step",
      source({ ...good, steps: Float32Array.of(1, -1) }),
      'tensor "w": steps[1]: expected a finite number of at least 0, got -1',
    ],
    [
      "an integer type",
      { ...source(good), dtype: "int32" },
      'tensor "w": dtype: expected a float type of 16 bits or more, got int32',
    ],
    [
      "an unknown type",
      { name: "w", dtype: "float33", shape: [1], bytes: new Uint8Array(4) },
      `tensor "w": dtype: expected one of ${dtypeNames.join(", ")}, got float33`,
    ],
    [
      "too few bytes",
      { name: "w", dtype: "float32", shape: [2], bytes: new Uint8Array(4) },
      'tensor "w": bytes: expected 8 of float32 [2], got 4',
    ],
    [
      "a refinement of 31 bits",
      { ...source(good), refinementBits: 31 },
      'tensor "w": refinementBits: expected 1 to 30, got 31',
    ],
  ])("names what is wrong: %s", (_, tensor, message) => {
    expect(() => encodeModel({ tensors: [tensor as SourceTensor] })).toThrow(message);
  });

  test("refuses two tensors of one name", () => {
    expect(() => encodeModel({ tensors: [source(good), source(good)] })).toThrow(
      new RangeError('tensors: expected each name once, got "w" twice'),
    );
  });
});

describe("the chain from the training loss to the file", () => {
  test("soft entropy ~ hard entropy <= bits coded by ans <= bits of the file, each link by little", async () => {
    const integers = laplace(60_000, 1.3, 21);
    const quantized = { shape: [60, 1000], integers, axis: 0, steps: Float32Array.of(0.25) };
    const counts = new Map<number, number>();
    for (const integer of integers) counts.set(integer, (counts.get(integer) ?? 0) + 1);
    let hard = 0;
    for (const count of counts.values()) hard -= count * Math.log2(count / integers.length);
    const values = dequantize(quantized);
    const centers = [...counts.keys()].sort((a, b) => a - b).map((integer) => integer * 0.25);
    const x = tf.tensor1d(values);
    const soft = softEntropy(x, tf.tensor1d(centers), { sharpness: 40 }).dataSync()[0] * integers.length;
    expect(Math.abs(soft / hard - 1)).toBeLessThan(0.001);
    const { entry } = encodeTensor(source(quantized), { minGain: 1 });
    expect(8 * entry.part.length).toBeGreaterThan(hard);
    expect(8 * entry.part.length).toBeLessThan(1.003 * hard + 8 * 60);
    const file = encodeModel({ tensors: [source(quantized)] }, { minGain: 1 });
    expect(file.length).toBeGreaterThan(entry.part.length);
    expect(file.length).toBeLessThan(entry.part.length + 40);
  });
});

test("Node's Buffers, whose slice() is a view, are read like any bytes, and left as they are", async () => {
  const model = everyKind();
  const file = encodeModel(model);
  const buffered = {
    ...model,
    tensors: model.tensors.map((tensor) =>
      "bytes" in tensor ? { ...tensor, bytes: Buffer.from(tensor.bytes) } : tensor,
    ),
  };
  expect(encodeModel(buffered)).toEqual(file);
  expect(buffered.tensors.map((tensor) => "bytes" in tensor && [...tensor.bytes])).toEqual(
    model.tensors.map((tensor) => "bytes" in tensor && [...tensor.bytes]),
  );
  // At an odd place of a larger memory, as small files are in Node.
  const pool = Buffer.alloc(file.length + 3, 0xaa);
  pool.set(file, 3);
  const decoded = await decodeModel(pool.subarray(3));
  expect(decoded.tensors).toEqual((await decodeModel(file)).tensors);
  expect(pool.subarray(3).equals(file)).toBe(true);
});
