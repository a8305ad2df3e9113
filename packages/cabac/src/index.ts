export { CorruptInputError } from "@bitdiet/stream";
export type { WeightContexts } from "./contexts.js";
export { weightContexts } from "./contexts.js";
export { decodeWeightRows, decodeWeights } from "./decode.js";
export { encodeWeights } from "./encode.js";
export type { RangeDecoder, RangeEncoder } from "./range-coder.js";
export {
  decodeBit,
  encodeBit,
  finishDecoding,
  finishEncoding,
  MIN_PROBABILITY,
  rangeDecoder,
  rangeEncoder,
} from "./range-coder.js";
export type { WeightRateModel } from "./rate.js";
export { estimateBits, weightRateModel } from "./rate.js";
export { compress, decompress, estimateCompressedBits } from "./stream.js";
export type { Integers, Rows, WeightShape } from "./weights.js";
