/**
 * tANS entropy coding of integers: static and context-switched tables, fixed codes and self-describing streams.
 *
 *     import { compress, decompress } from "@bitdiet/ans";
 */
export { CorruptInputError } from "@bitdiet/stream";
export { type AnsCode, ansCode } from "./ans-code.js";
export { compress, compressedBits, compressMap } from "./compress.js";
export { contextAnsCode } from "./context-ans-code.js";
export {
  type ContextTables,
  decodeContextTables,
  encodeContextTables,
  learnContextTables,
} from "./context-tables.js";
export {
  type CallerContexts,
  type Contexts,
  type MapShape,
  magnitudeThresholds,
  type NeighbourContexts,
  neighbourContexts,
} from "./contexts.js";
export { decodeBytes } from "./decode-bytes.js";
export { decompress } from "./decompress.js";
export { decompressMap } from "./decompress-map.js";
export { encodeBytes, encodedBits } from "./encode-bytes.js";
export { normalizeCounts } from "./normalize.js";
export type { WeightBlock } from "./weights-coded.js";
export { decodeWeightRows, decodeWeights, weightBlocks } from "./weights-decode.js";
export { encodedWeightBits, encodeWeights } from "./weights-encode.js";
export type { WeightShape } from "./weights-shape.js";
