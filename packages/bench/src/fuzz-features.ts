/** What the fuzzer tries of feature codecs: altered frames and codec files, and files whose checksum fits again. */
import { type FeatureCodec, featureCodec, learnFeatureCodec } from "@bitdiet/feature-codec";
import { xxHash32 } from "@bitdiet/stream";
import { uniform } from "@bitdiet/zoo/data/random";
import type { Case, Subject } from "./fuzz.js";
import { altered } from "./fuzz-mutate.js";

const SHAPE = [7, 6, 5] as const;
const COUNT = 7 * 6 * 5;
/** A forged codec may say that its frames are larger; no larger ones are decoded. */
const MOST = 2 ** 16;

/** Maps of bumps, as many as wanted. */
function maps(count: number, seed: number): Float32Array[] {
  const next = uniform(seed);
  return Array.from({ length: count }, () => {
    const [size, where] = [4 * next(), COUNT * next()];
    return Float32Array.from({ length: COUNT }, (_, i) =>
      Math.max(0, size - Math.abs(i - where) / 30 + next() / 4),
    );
  });
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const samples = maps(12, 1);
const codec = await learnFeatureCodec(samples, { shape: SHAPE, targetBits: 2, range: [0, 6] });
const [reference] = samples;

function framesOf(seed: number): Uint8Array[] {
  return maps(4, seed).flatMap((map) => [
    codec.encode(map),
    codec.encode(map, { coarseness: 7 }),
    codec.encode(map, { reference }),
  ]);
}

export const featureFrames: Subject = {
  name: "frames of features",
  decode: (bytes) => codec.decode(bytes, { reference }),
  cases(seed) {
    const frames = framesOf(seed);
    const known = new Set(frames.map(hex));
    const next = uniform(seed);
    return Array.from({ length: 200 }, (): Case => {
      const bytes = altered(frames[Math.floor(next() * frames.length)], frames, next);
      const decode = () => {
        codec.decode(bytes, { reference });
        return known.has(hex(bytes)) ? "same" : "wrong";
      };
      return { bytes, decode };
    });
  },
};

/** Uses a codec as a receiver would: whatever it says, frames are refused or come out finite. */
function used(file: Uint8Array): FeatureCodec {
  const forged = featureCodec(file);
  const [height, width, channels] = forged.shape;
  if (height * width * channels <= MOST) {
    const values = forged.decode(forged.encode(new Float32Array(height * width * channels).fill(1.5)));
    if (!values.every(Number.isFinite)) throw new Error("values that are not finite");
  }
  return forged;
}

export const featureCodecs: Subject = {
  name: "feature codecs, forged",
  decode: used,
  cases(seed) {
    const next = uniform(seed);
    return Array.from({ length: 50 }, (_, i): Case => {
      const bytes = altered(codec.bytes, [codec.bytes], next);
      if (i % 5 > 0 && bytes.length >= 6) {
        const sum = xxHash32(bytes.subarray(0, -4));
        new DataView(bytes.buffer, bytes.byteOffset).setUint32(bytes.length - 4, sum, true);
      }
      return { bytes, decode: () => (hex(used(bytes).bytes) === hex(codec.bytes) ? "same" : "other") };
    });
  },
};
