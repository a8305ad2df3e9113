/** bitdiet: neural networks in the fewest bytes. Everything here runs in browsers; files on disk are behind `bitdiet/node`. */
export { type BitdietFile, openBitdiet } from "./bitdiet-file.js";
export { type Coder, type IntegerShape, smallestOf } from "./coder.js";
export { ansCoder, cabacCoder, huffmanCoder, smallestCoder } from "./coders.js";
export {
  BudgetError,
  type CompressedTensor,
  type CompressOptions,
  type CompressReport,
  type CompressTarget,
  compressModel,
  compressToPieces,
} from "./compress.js";
export {
  type DecodedMetadata,
  type DecodedTensor,
  type DecodeLimits,
  decodeMetadata,
  decodeModel,
  decodeParts,
  decodeTensor,
  type Header,
  headerLength,
  type MetadataEntry,
  type Part,
  readHeader,
  type TensorEntry,
  type TensorParts,
} from "./decode.js";
export { decodeQuantized } from "./decode-quantized.js";
export { type ByteSource, DownloadError, type DownloadOptions, openSource } from "./download.js";
export {
  type EncodedMetadata,
  type EncodedTensor,
  type EncodeOptions,
  encodeMetadata,
  encodeModel,
  encodeTensor,
  estimateModel,
  estimateTensor,
  filePieces,
  type LosslessTensor,
  type QuantizedSource,
  type SourceModel,
  type SourceTensor,
} from "./encode.js";
export { CorruptInputError } from "./errors.js";
export { floatBytes, floatValues } from "./floats.js";
export { type Dtype, type Model, ModelFileError, type ModelFormat, type ModelTensor } from "./model.js";
export { type FilePiece, type ModelFiles, memoryFiles } from "./models/files.js";
export { readModel, writeModel } from "./models/read.js";
export { dequantize, type QuantizedTensor } from "./quantized-tensor.js";
export { gridIndex, gridOf, nearestOnGrid, stepAt } from "./step-grid.js";
export { type StreamDecoder, type StreamItem, streamDecoder } from "./stream-decoder.js";
export { writeHeader } from "./write-header.js";
