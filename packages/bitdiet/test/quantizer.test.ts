import "@tensorflow/tfjs-backend-cpu";
import { affineQuantizer, codebookQuantizer, type Quantizer, ternaryQuantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeModel, encodeModel } from "../src/index.js";
import { dequantize, quantizedTensor } from "../src/quantizer.js";

beforeAll(() => tf.setBackend("cpu"));

const bits = (values: ArrayLike<number>) => [...new Uint32Array(Float32Array.from(values).buffer)];

/** Values that fall on ties and beyond the ends, too. */
const values = (shape: number[]) => {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => (i % 5 === 0 ? 0.25 * (i % 9) - 1 : Math.sin(i * i))),
    shape,
  );
};

const perChannel = () => tf.tensor1d([0.1, 0.3, 0.05]);
const cases: [string, number[], number, () => Quantizer][] = [
  ["one step", [3, 3, 2, 3], 3, () => affineQuantizer({ bits: 4, signed: true, scale: 0.1 })],
  [
    "a step per output channel",
    [3, 3, 2, 3],
    3,
    () => affineQuantizer({ bits: 3, signed: true, scale: perChannel() }),
  ],
  [
    "a step per output channel of a torch kernel",
    [3, 2, 3, 3],
    0,
    () => affineQuantizer({ bits: 5, signed: true, scale: tf.reshape(perChannel(), [3, 1, 1, 1]) }),
  ],
  [
    "widths per channel, one of 0",
    [4, 3],
    1,
    () => affineQuantizer({ bits: [2, 0, 6], signed: true, scale: perChannel() }),
  ],
  ["unsigned levels with a zero point", [7], 0, () => affineQuantizer({ bits: 4, zeroPoint: 3, scale: 0.2 })],
  ["ternary levels", [5, 4], 1, () => ternaryQuantizer({ threshold: 0.3, scale: 0.7 })],
];

describe("a quantizer's tensor", () => {
  test.each(cases)(
    "of %s is what fakeQuantize gives, bit for bit, before and after the file",
    async (_, shape, axis, of) => {
      let [file, expected]: [Uint8Array, number[]] = [new Uint8Array(0), []];
      tf.tidy(() => {
        const quantizer = of();
        const w = values(shape);
        const quantized = quantizedTensor(quantizer, w, axis);
        expected = bits(quantizer.fakeQuantize(w).dataSync());
        expect(bits(dequantize(quantized))).toEqual(expected);
        file = encodeModel({ tensors: [{ name: "w", dtype: "float32", quantized }] });
      });
      const [{ values: decoded, shape: decodedShape }] = (await decodeModel(file)).tensors;
      expect(bits(decoded as Float32Array)).toEqual(expected);
      expect(decodedShape).toEqual(shape);
    },
  );

  test("prunes slices that are zero, so that they take no bits", () => {
    tf.tidy(() => {
      const quantizer = affineQuantizer({ bits: 4, signed: true, scale: perChannel() });
      const w = tf.mul(values([8, 3]), [1, 0, 1]);
      expect([...quantizedTensor(quantizer, w, 1).steps]).toEqual([0.1, 0, 0.05].map(Math.fround));
    });
  });

  test("leaves no tensor behind", () => {
    const quantizer = affineQuantizer({ bits: 4, signed: true, scale: 0.1 });
    const w = values([4, 4]);
    const before = tf.memory().numTensors;
    quantizedTensor(quantizer, w, 1);
    expect(tf.memory().numTensors).toBe(before);
    tf.dispose([quantizer.levels, quantizer.scale, w]);
  });

  test("is refused where a file of integers and steps could not hold it", () => {
    tf.tidy(() => {
      const w = values([4, 3]);
      const signed = (scale: tf.Tensor) => affineQuantizer({ bits: 4, signed: true, scale });
      const codebook = codebookQuantizer(tf.tensor1d([-0.7, 0, 1.3]));
      expect(() => quantizedTensor(codebook, w, 1)).toThrow(/^levels: expected whole numbers/);
      expect(() => quantizedTensor(signed(perChannel()), w, 0)).toThrow(
        "scale: expected one, or one for each of 4 slices along axis 0, got shape [3]",
      );
      expect(() => quantizedTensor(signed(tf.tensor1d([0.1, 0, 0.1])), w, 1)).toThrow(
        "scale: expected numbers above 0, got 0",
      );
      expect(() => quantizedTensor(signed(tf.scalar(1)), w, 2)).toThrow("axis: expected one of the 2 axes");
    });
  });
});
