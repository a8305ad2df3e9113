/**
 * A codec of feature maps of one shape: arrays to bytes and back, the same ones on every machine.
 *
 *     const codec = featureCodec(file);
 *     codec.decode(codec.encode(features))   // the features, as far as the codec's step goes
 */
import { describe, xxHash32 } from "@bitdiet/stream";
import { checkInteger, type Features, valuesOf } from "./check.js";
import { decodeModel } from "./codec-file.js";
import { decodeFrame, encodeFrame, frameCoder } from "./frame.js";
import { MAX_COARSENESS, MIN_COARSENESS } from "./model.js";

export interface EncodeOptions {
  /**
   * What both sides have: the frame before as it was decoded, or a map of what does not move. Pixels that it predicts well
   * are skipped; of the others the difference is coded.
   */
  reference?: Features;
  /** How much coarser than it was learned, in quarters of an octave of the step: −40 .. 40; 0 unless given. */
  coarseness?: number;
  /** The most bytes; the least coarseness from the one above on that gives so few is searched. */
  maxBytes?: number;
}

export interface FeatureCodec {
  /** Height, width and channels of a frame. */
  readonly shape: readonly [number, number, number];
  /** The codec as a file; featureCodec reads it. */
  readonly bytes: Uint8Array;
  /**
   * One frame as bytes.
   *
   * @param features height · width · channels finite values, channels last; beyond 32 times the greatest sample they may be clipped
   * @throws {RangeError} if there are more or fewer, one is not finite, or maxBytes is too few at any coarseness
   */
  encode(features: Features, options?: EncodeOptions): Uint8Array;
  /**
   * The values of a frame, in an array of their own.
   *
   * @param options.reference what it was encoded with
   * @throws {CorruptInputError} unless the bytes are one frame of this codec and of that reference
   */
  decode(bytes: Uint8Array, options?: Pick<EncodeOptions, "reference">): Float32Array;
}

/**
 * The codec that a file holds.
 *
 * @throws {CorruptInputError} unless the bytes are exactly those of a codec
 */
export function featureCodec(file: Uint8Array): FeatureCodec {
  const model = decodeModel(file);
  const bytes = file.slice();
  const coder = frameCoder(model, xxHash32(bytes));
  const { height, width, channels } = model;
  const count = height * width * channels;
  const referenceOf = (reference: Features | undefined) =>
    reference === undefined ? undefined : valuesOf("reference", reference, count);
  return {
    shape: [height, width, channels],
    bytes,
    encode(features, { reference, coarseness = 0, maxBytes } = {}) {
      checkInteger("coarseness", coarseness, MIN_COARSENESS, MAX_COARSENESS);
      const values = valuesOf("features", features, count);
      const from = referenceOf(reference);
      const at = (coarse: number) => encodeFrame(coder, values, coarse, from);
      return maxBytes === undefined ? at(coarseness) : within(maxBytes, coarseness, at);
    },
    decode(frame, { reference } = {}) {
      if (!(frame instanceof Uint8Array)) {
        throw new TypeError(`bytes: expected a Uint8Array, got ${describe(frame)}`);
      }
      return decodeFrame(coder, frame, referenceOf(reference));
    },
  };
}

/** The finest frame of so few bytes, by bisection: sizes fall with coarseness but for single bytes. */
function within(maxBytes: number, finest: number, at: (coarseness: number) => Uint8Array): Uint8Array {
  if (!(maxBytes >= 0)) throw new RangeError(`maxBytes: expected a number of bytes, got ${maxBytes}`);
  const first = at(finest);
  if (first.length <= maxBytes) return first;
  let best = at(MAX_COARSENESS);
  if (best.length > maxBytes) {
    throw new RangeError(`maxBytes: expected at least ${best.length} for this frame, got ${maxBytes}`);
  }
  for (let [low, high] = [finest, MAX_COARSENESS]; high - low > 1; ) {
    const middle = (low + high) >> 1;
    const bytes = at(middle);
    if (bytes.length <= maxBytes) [best, high] = [bytes, middle];
    else low = middle;
  }
  return best;
}
