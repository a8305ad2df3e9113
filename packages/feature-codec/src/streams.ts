/**
 * Frames over a byte stream: each behind its length (LEB128), so that chunks may end anywhere. On a WebSocket a chunk is a
 * message, and its boundaries stay.
 *
 *     features.pipeThrough(frameEncoder(codec, { keyEvery: 30 })).pipeThrough(frameDecoder(codec))
 */
import { corrupt, writeNumber } from "@bitdiet/stream";
import { checkInteger, type Features } from "./check.js";
import type { EncodeOptions, FeatureCodec } from "./codec.js";

export interface FrameEncoderOptions extends Omit<EncodeOptions, "reference"> {
  /** Every so many frames one stands alone; those between are predicted from the one before where that is shorter. 1 unless given. */
  keyEvery?: number;
}

/** Features to bytes: one chunk a frame. Errors are those of encode. */
export function frameEncoder(
  codec: FeatureCodec,
  { keyEvery = 1, ...options }: FrameEncoderOptions = {},
): TransformStream<Features, Uint8Array> {
  checkInteger("keyEvery", keyEvery, 1, Number.MAX_SAFE_INTEGER);
  let index = 0;
  let reference: Float32Array | undefined;
  return new TransformStream({
    transform(features, controller) {
      if (index++ % keyEvery === 0) reference = undefined;
      const alone = codec.encode(features, options);
      const next = reference && codec.encode(features, { ...options, reference });
      const frame = next && next.length < alone.length ? next : alone;
      if (keyEvery > 1) reference = codec.decode(frame, { reference });
      const header: number[] = [];
      writeNumber(header, frame.length);
      const chunk = new Uint8Array(header.length + frame.length);
      chunk.set(header);
      chunk.set(frame, header.length);
      controller.enqueue(chunk);
    },
  });
}

/** No frame is longer: each value an escape, and room for the rest. */
const mostBytes = ([height, width, channels]: FeatureCodec["shape"]) => 8 * height * width * channels + 65536;
/** Bytes of a length, at most. */
const MAX_LENGTH = 7;

/** Bytes, however they are cut, to the values of frames. Errors with a CorruptInputError. */
export function frameDecoder(codec: FeatureCodec): TransformStream<Uint8Array, Float32Array> {
  const limit = mostBytes(codec.shape);
  let length: number[] = [];
  /** The frame that is being filled, and how far. */
  let frame: Uint8Array | undefined;
  let filled = 0;
  let reference: Float32Array | undefined;
  const begin = (byte: number) => {
    length.push(byte);
    if (length.length > MAX_LENGTH) corrupt("stream: length");
    if (byte > 127) return;
    const total = length.reduceRight((sum, part) => sum * 128 + (part & 127), 0);
    if (total < 1 || total > limit) corrupt(`stream: a frame of ${total} bytes`);
    frame = new Uint8Array(total);
    filled = 0;
    length = [];
  };
  return new TransformStream({
    transform(chunk, controller) {
      for (let at = 0; at < chunk.length; ) {
        if (frame === undefined) {
          begin(chunk[at++]);
          continue;
        }
        const part = chunk.subarray(at, at + frame.length - filled);
        frame.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled < frame.length) continue;
        reference = codec.decode(frame, { reference });
        frame = undefined;
        controller.enqueue(reference.slice());
      }
    },
    flush() {
      if (frame !== undefined || length.length > 0) corrupt("stream: end");
    },
  });
}
