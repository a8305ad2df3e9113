import { pcaTransform } from "@bitdiet/dct-transform";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type FeatureCodec, featureCodec, type LinearTransform, learnFeatureCodec } from "../src/index.js";
import { butterfly, film, type ShapeOf, stretched } from "./sources.js";

const shape: ShapeOf = [12, 10, 8];
const samples = Array.from({ length: 24 }, (_, time) => film(time, shape));
const values = 12 * 10 * 8;
const fits: Record<string, ((pixels: Float32Array, channels: number) => LinearTransform) | undefined> = {
  none: undefined,
  butterfly,
  stretched,
  pca: pcaTransform,
};

const meanSquare = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length;
const bits = (codec: FeatureCodec, frames: Float32Array[]) =>
  frames.reduce((sum, frame) => sum + 8 * codec.encode(frame).length, 0) / (frames.length * values);

describe.each(Object.entries(fits))("a codec with transform %s", (_, transform) => {
  let codec: FeatureCodec;
  beforeAll(async () => {
    codec = await learnFeatureCodec(samples, { shape, transform, targetBits: 2 });
  });

  it("takes about the bits asked for, and some bytes a frame", () => {
    expect(bits(codec, samples)).toBeGreaterThan(1.4);
    expect(bits(codec, samples)).toBeLessThan(2.6);
  });

  it("comes back from its file, and codes as before", () => {
    const again = featureCodec(codec.bytes);
    expect(again.shape).toEqual(shape);
    expect(again.bytes).toEqual(codec.bytes);
    expect(again.encode(samples[3])).toEqual(codec.encode(samples[3]));
  });

  it("errs less the finer it codes, and takes more bytes", () => {
    const at = (coarseness: number) => {
      const frame = codec.encode(samples[5], { coarseness });
      return { bytes: frame.length, error: meanSquare(codec.decode(frame), samples[5]) };
    };
    const [finer, usual, coarser] = [at(-8), at(0), at(8)];
    expect(finer.error).toBeLessThan(usual.error);
    expect(usual.error).toBeLessThan(coarser.error);
    expect(finer.bytes).toBeGreaterThan(usual.bytes);
    expect(usual.bytes).toBeGreaterThan(coarser.bytes);
  });

  it("decodes what it encoded to values that it encodes to themselves", () => {
    const decoded = codec.decode(codec.encode(samples[2], { coarseness: -4 }));
    const again = codec.decode(codec.encode(decoded, { coarseness: -4 }));
    expect(meanSquare(again, decoded)).toBeLessThan(0.3 * meanSquare(decoded, samples[2]) + 1e-9);
  });

  it("codes any finite values, however far from the samples", () => {
    const number = fc.oneof(
      fc.float({ min: -100, max: 100, noNaN: true }),
      fc.float({ noNaN: true, noDefaultInfinity: true }),
      fc.constant(0),
    );
    const frames = fc.array(number, { minLength: values, maxLength: values });
    fc.assert(
      fc.property(
        frames,
        fc.integer({ min: -40, max: 40 }),
        fc.boolean(),
        (list, coarseness, isPredicted) => {
          const reference = isPredicted ? samples[0] : undefined;
          const frame = codec.encode(Float32Array.from(list), { coarseness, reference });
          const decoded = codec.decode(frame, { reference });
          expect(decoded.every(Number.isFinite)).toBe(true);
          expect(decoded).toEqual(featureCodec(codec.bytes).decode(frame, { reference }));
        },
      ),
      { numRuns: 40, seed: 1 },
    );
  });

  it("keeps within the bytes asked for, and says where that is impossible", () => {
    const usual = codec.encode(samples[4]).length;
    for (const maxBytes of [usual, Math.floor(usual / 2), Math.floor(usual / 4)]) {
      const frame = codec.encode(samples[4], { maxBytes });
      expect(frame.length).toBeLessThanOrEqual(maxBytes);
      expect(frame.length).toBeGreaterThan(0.4 * maxBytes);
    }
    expect(() => codec.encode(samples[4], { maxBytes: 5 })).toThrow(/maxBytes: expected at least \d+/);
  });
});

describe("a reference", () => {
  it("makes a still frame next to nothing, and skips what stands still", async () => {
    const codec = await learnFeatureCodec(samples, { shape, transform: pcaTransform, targetBits: 2 });
    const reference = codec.decode(codec.encode(samples[0]));
    expect(codec.encode(reference, { reference }).length).toBeLessThan(20);
    const moved = reference.slice();
    for (let c = 0; c < 8; c++) moved[8 * 37 + c] += 2;
    const frame = codec.encode(moved, { reference });
    expect(frame.length).toBeLessThan(50);
    const decoded = codec.decode(frame, { reference });
    const changed = Array.from({ length: 120 }, (_, pixel) => pixel).filter((pixel) =>
      decoded.subarray(8 * pixel, 8 * pixel + 8).some((value, c) => value !== reference[8 * pixel + c]),
    );
    expect(changed).toEqual([37]);
    expect(meanSquare(decoded, moved)).toBeLessThan(0.02);
  });

  it("must be the one that the frame was encoded with", async () => {
    const codec = await learnFeatureCodec(samples, { shape, targetBits: 2 });
    const frame = codec.encode(samples[1], { reference: samples[0] });
    expect(() => codec.decode(frame, { reference: samples[2] })).toThrow(/checksum/);
    expect(() => codec.decode(frame)).toThrow(/there is none/);
    expect(codec.decode(frame, { reference: samples[0] })).toHaveLength(values);
  });
});

describe("learning", () => {
  it("finds the coarsest step within a divergence", async () => {
    const divergence = (decoded: Float32Array[]) =>
      decoded.reduce((sum, frame, i) => sum + meanSquare(frame, samples[i]), 0) / decoded.length;
    const targetDivergence = 0.01;
    const codec = await learnFeatureCodec(samples, {
      shape,
      transform: pcaTransform,
      targetDivergence,
      divergence,
    });
    const at = (coarseness: number) =>
      divergence(samples.map((frame) => codec.decode(codec.encode(frame, { coarseness }))));
    expect(at(0)).toBeLessThanOrEqual(targetDivergence);
    expect(at(2)).toBeGreaterThan(targetDivergence);
  });

  it("keeps zeros zeros where there is no transform, and clips to the range", async () => {
    const codec = await learnFeatureCodec(samples, { shape, targetBits: 1, range: [0, 4] });
    const decoded = codec.decode(codec.encode(samples[9]));
    for (const [i, value] of samples[9].entries()) if (value === 0) expect(decoded[i]).toBe(0);
    expect(Math.max(...decoded)).toBeLessThanOrEqual(4);
  });

  it("leaves out coefficients that samples never need", async () => {
    const flat = samples.map((frame) => frame.map((_, i) => frame[i - (i % 8)]));
    const codec = await learnFeatureCodec(flat, { shape, transform: pcaTransform, targetBits: 0.3 });
    const other = await learnFeatureCodec(samples, { shape, transform: pcaTransform, targetBits: 3 });
    expect(codec.bytes.length).toBeLessThan(other.bytes.length - 50);
    expect(meanSquare(codec.decode(codec.encode(flat[1])), flat[1])).toBeLessThan(0.05);
  });

  it("names the argument that is wrong", async () => {
    const learn = (changes: object, frames: unknown = samples) =>
      learnFeatureCodec(frames as Float32Array[], { shape, targetBits: 1, ...changes });
    await expect(learn({}, [])).rejects.toThrow("samples: expected at least one frame");
    await expect(learn({}, [new Float32Array(7)])).rejects.toThrow("samples[0]: expected 960 values, got 7");
    await expect(learn({}, [[1, 2]])).rejects.toThrow("samples[0]: expected a Float32Array");
    await expect(learn({}, [new Float32Array(values).fill(Number.NaN)])).rejects.toThrow(
      "samples: expected finite",
    );
    await expect(learn({ shape: [12, 10] })).rejects.toThrow("shape: expected [height, width, channels]");
    await expect(learn({ targetBits: 0 })).rejects.toThrow("targetBits: expected a number above 0");
    await expect(learn({ targetDivergence: 1 })).rejects.toThrow("exactly one");
    await expect(learn({ targetBits: undefined, targetDivergence: 1 })).rejects.toThrow(
      "divergence: expected a function",
    );
    await expect(learn({ range: [1, 0] })).rejects.toThrow("range: expected [least, greatest]");
    await expect(
      learn({ transform: () => ({ basis: new Float32Array(4), rows: 2, size: 2 }) }),
    ).rejects.toThrow("transform: expected 1..8 rows of 8");
    const codec = await learn({});
    expect(() => codec.encode(new Float32Array(3))).toThrow("features: expected 960 values, got 3");
    expect(() => codec.encode(samples[0], { coarseness: 0.5 })).toThrow("coarseness: expected an integer");
    const holed = samples[0].slice();
    holed[5] = Number.NaN;
    expect(() => codec.encode(holed)).toThrow("features: expected finite numbers, got NaN at 5");
    expect(() => codec.decode("abc" as never)).toThrow("bytes: expected a Uint8Array, got String");
  });

  it("takes tensors, by what they give", async () => {
    const codec = await learnFeatureCodec(samples, { shape, targetBits: 2 });
    expect(codec.encode({ dataSync: () => samples[0] })).toEqual(codec.encode(samples[0]));
  });
});
