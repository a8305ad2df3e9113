/** bitdiet: neural networks in the fewest bytes. Everything here runs in browsers; files on disk are behind `bitdiet/node`. */

export {
  BudgetError,
  type Compressed,
  type CompressOptions,
  compressModel,
  compressToPieces,
} from "./compress.js";
export {
  type DecodedMetadata,
  type DecodedTensor,
  type DecodeLimits,
  decodeModel,
  decodeQuantized,
  decodeTensor,
  type Header,
  headerLength,
  type MetadataEntry,
  type Part,
  readHeader,
  type TensorEntry,
} from "./file/decode.js";
export {
  type EncodeOptions,
  encodeModel,
  estimateModel,
  type LosslessTensor,
  type QuantizedSource,
  type SizeEstimate,
  type SourceModel,
  type SourceTensor,
} from "./file/encode.js";
export { CorruptInputError } from "./file/errors.js";
export { dequantize, type QuantizedTensor } from "./file/quantized-tensor.js";
export { toRows } from "./file/rows.js";
export { gridIndex, nearestOnGrid } from "./file/step-grid.js";
export { type FilePiece, type ModelFiles, memoryFiles } from "./formats/files.js";
export { floatBytes, floatValues } from "./formats/floats.js";
export { readModel, writeModel } from "./formats/list.js";
export { layersUses } from "./formats/tfjs-layers.js";
export { type Joined, joinShards } from "./join-shards.js";
export { type BitdietFile, openBitdiet } from "./loaders/open.js";
export { type ByteSource, DownloadError, type DownloadOptions, openSource } from "./loaders/source.js";
export { type StreamDecoder, type StreamItem, streamDecoder } from "./loaders/stream.js";
export {
  type Dtype,
  type FloatDtype,
  isFloat,
  type Model,
  ModelFileError,
  type ModelTensor,
  type TensorUse,
} from "./model.js";
export { fromWeights } from "./quantize/from-weights.js";
export type { Quantize, QuantizedModel } from "./quantize/quantize.js";
export type { CompressTarget } from "./quantize/target.js";
export type { CompressedTensor, CompressReport } from "./report.js";
export type { Shard } from "./shard.js";
export { encodeTrained } from "./trained.js";
export { applyUpdate } from "./updates/apply.js";
export { encodeUpdate, type UpdateReport, type UpdateTarget } from "./updates/encode.js";
export { type Change, type ChangeSender, changeSender, changesIn } from "./updates/feedback.js";
