import { xxHash32 } from "@bitdiet/stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CorruptInputError, featureCodec, learnFeatureCodec } from "../src/index.js";
import { butterfly, film, type ShapeOf } from "./sources.js";

const shape: ShapeOf = [6, 5, 4];
const samples = Array.from({ length: 8 }, (_, time) => film(time, shape));
const codec = await learnFeatureCodec(samples, { shape, transform: butterfly, targetBits: 2 });
const reference = samples[0];
const frames = {
  alone: codec.encode(samples[1]),
  coarse: codec.encode(samples[1], { coarseness: 9 }),
  predicted: codec.encode(samples[1], { reference }),
};
const refused = (what: () => unknown) => expect(what).toThrow(CorruptInputError);

describe.each(Object.entries(frames))("a frame (%s)", (_, frame) => {
  it("is refused for every single flipped bit, wherever it is cut, and with bytes behind it", () => {
    expect(codec.decode(frame, { reference })).toHaveLength(120);
    for (let bit = 0; bit < 8 * frame.length; bit++) {
      const flipped = frame.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      refused(() => codec.decode(flipped, { reference }));
    }
    for (let end = 0; end < frame.length; end++)
      refused(() => codec.decode(frame.subarray(0, end), { reference }));
    refused(() => codec.decode(Uint8Array.of(...frame, 0), { reference }));
  });

  it("is refused by another codec of the same shape", async () => {
    const other = await learnFeatureCodec(samples, { shape, transform: butterfly, targetBits: 1 });
    refused(() => other.decode(frame, { reference }));
  });
});

describe("a codec's file", () => {
  it("is refused for every single flipped bit and wherever it is cut", () => {
    for (let bit = 0; bit < 8 * codec.bytes.length; bit++) {
      const flipped = codec.bytes.slice();
      flipped[bit >> 3] ^= 1 << (bit & 7);
      refused(() => featureCodec(flipped));
    }
    for (let end = 0; end < codec.bytes.length; end++)
      refused(() => featureCodec(codec.bytes.subarray(0, end)));
  });

  it("is refused or harmless whatever it says, with a checksum that fits", () => {
    const changes = fc.array(fc.tuple(fc.nat(codec.bytes.length - 5), fc.nat(255)), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(changes, (list) => {
        const file = codec.bytes.slice();
        for (const [at, byte] of list) file[at] = byte;
        new DataView(file.buffer).setUint32(file.length - 4, xxHash32(file.subarray(0, -4)), true);
        try {
          const forged = featureCodec(file);
          const [height, width, channels] = forged.shape;
          if (height * width * channels > 2 ** 20) return;
          const any = new Float32Array(height * width * channels).fill(1.25);
          expect(forged.decode(forged.encode(any)).every(Number.isFinite)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(CorruptInputError);
        }
      }),
      { numRuns: 1500, seed: 7 },
    );
  });
});
