/**
 * Files to tensors: `bitdiet/decode`, which knows no tensor library and no other module of this package than it needs.
 *
 *     const { tensors } = await decodeModel(bytes);
 *     tensors[0]   // { name: "conv1.weight", dtype: "float32", shape: [16, 3, 3, 3], values: Float32Array(432) }
 *
 * Nothing is taken on trust: hashes are compared before anything is decoded, memory grows with what was decoded, and what is given
 * out, and the work for it, are bounded before it is done.
 */
import { type DecodedTensor, decodePart, decodeQuantizedPart } from "./decode-part.js";
import type { MetadataEntry, TensorEntry } from "./entries.js";
import { CorruptInputError, named } from "./errors.js";
import { readHeader } from "./header.js";
import type { DecodeLimits } from "./limits.js";
import { type DecodedMetadata, decodeMetadataPart } from "./metadata.js";
import { partOf } from "./parts.js";
import type { QuantizedTensor } from "./quantized-tensor.js";

export { type DecodedTensor, decodePart } from "./decode-part.js";
export type { MetadataEntry, Part, TensorEntry } from "./entries.js";
export { CorruptInputError } from "./errors.js";
export { type Header, headerLength, PROLOGUE, readHeader } from "./header.js";
export type { DecodeLimits } from "./limits.js";
export { type DecodedMetadata, decodeMetadataPart } from "./metadata.js";
export { type CheckedPart, checkedPart } from "./parts.js";
export type { QuantizedTensor } from "./quantized-tensor.js";

/**
 * @param bytes one whole file
 * @throws {CorruptInputError} unless the file is whole, every hash fits, and it keeps within the limits
 */
export async function decodeModel(
  bytes: Uint8Array,
  limits: DecodeLimits = {},
): Promise<{ tensors: DecodedTensor[]; metadata: DecodedMetadata[] }> {
  const header = readHeader(bytes, limits);
  if (header.fileLength !== bytes.length)
    throw new CorruptInputError(`${bytes.length} bytes of a file of ${header.fileLength}`);
  const metadata = header.metadata.map((entry) => decodeMetadata(bytes, entry));
  const tensors: DecodedTensor[] = [];
  for (const entry of header.tensors) tensors.push(await decodeTensor(bytes, entry));
  return { metadata, tensors };
}

/**
 * One tensor of a file, of which its own parts must be there.
 *
 * @param entry of `readHeader`, which holds limits against the whole file
 * @throws {CorruptInputError} if they are not, or a hash does not fit
 */
export async function decodeTensor(bytes: Uint8Array, entry: TensorEntry): Promise<DecodedTensor> {
  return decodePart(entry, ...tensorParts(bytes, entry));
}

/**
 * The integers and steps of one tensor of a file, for tools that look at them.
 *
 * @throws {CorruptInputError} as `decodeTensor`; {RangeError} if the tensor is not quantized
 */
export async function decodeQuantized(bytes: Uint8Array, entry: TensorEntry): Promise<QuantizedTensor> {
  return decodeQuantizedPart(entry, ...tensorParts(bytes, entry));
}

function tensorParts(bytes: Uint8Array, { name, part, refinementPart }: TensorEntry) {
  return named(
    `tensor "${name}"`,
    () => [partOf(bytes, part), refinementPart && partOf(bytes, refinementPart)] as const,
  );
}

/** One piece of metadata of a file. @throws {CorruptInputError} as `decodeTensor` */
export function decodeMetadata(bytes: Uint8Array, entry: MetadataEntry): DecodedMetadata {
  return decodeMetadataPart(
    entry,
    named(`metadata "${entry.name}"`, () => partOf(bytes, entry.part)),
  );
}
