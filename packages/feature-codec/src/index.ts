/**
 * Feature maps over a wire: a codec learned from samples, whose bytes and decoded values are the same on every machine.
 *
 *     import { featureCodec, learnFeatureCodec } from "@bitdiet/feature-codec";
 */
export { CorruptInputError } from "@bitdiet/stream";
export type { Features } from "./check.js";
export { type EncodeOptions, type FeatureCodec, featureCodec } from "./codec.js";
export { type LearnOptions, learnFeatureCodec } from "./learn.js";
export type { LinearTransform } from "./learn-transform.js";
export { type FrameEncoderOptions, frameDecoder, frameEncoder } from "./streams.js";
