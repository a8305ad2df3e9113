/**
 * Files to tensors: `bitdiet/decode`, which knows no tensor library and no other module of this package than it needs.
 *
 *     const { tensors } = decodeModel(bytes);
 *     tensors[0]   // { name: "conv1.weight", dtype: "float32", shape: [16, 3, 3, 3], values: Float32Array(432) }
 *
 * Nothing is taken on trust: hashes are compared before anything is decoded, memory grows with what was decoded, and what is given
 * out is bounded by `maxBytes`.
 */
import { type DecodedMetadata, type DecodedTensor, decodeMetadata, decodeTensor } from "./decode-part.js";
import { CorruptInputError } from "./errors.js";
import { readHeader } from "./header.js";
import { checkSize, type DecodeLimits } from "./parts.js";

export type { Dtype } from "../model.js";
export {
  type DecodedMetadata,
  type DecodedTensor,
  decodeMetadata,
  decodeParts,
  decodeTensor,
} from "./decode-part.js";
export { CorruptInputError } from "./errors.js";
export {
  type Header,
  headerLength,
  type MetadataEntry,
  type Part,
  readHeader,
  type TensorEntry,
} from "./header.js";
export type { DecodeLimits, TensorParts } from "./parts.js";
export type { QuantizedTensor } from "./quantized-tensor.js";

/**
 * @param bytes one whole file
 * @throws {CorruptInputError} unless the file is whole, every hash fits, and it holds no more than `maxBytes`
 */
export function decodeModel(
  bytes: Uint8Array,
  limits: DecodeLimits = {},
): { tensors: DecodedTensor[]; metadata: DecodedMetadata[] } {
  const header = readHeader(bytes);
  if (header.fileLength !== bytes.length)
    throw new CorruptInputError(`${bytes.length} bytes of a file of ${header.fileLength}`);
  const claimed = [...header.metadata, ...header.tensors].reduce((sum, { size }) => sum + size, 0);
  checkSize(claimed, limits, bytes.length);
  return {
    metadata: header.metadata.map((entry) => decodeMetadata(bytes, entry, limits)),
    tensors: header.tensors.map((entry) => decodeTensor(bytes, entry, limits)),
  };
}
