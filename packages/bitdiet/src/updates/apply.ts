/**
 * The next .bitdiet file, of an earlier one and an update: for those who keep files. Loaders take both as they are.
 *
 *     const next = await applyUpdate(base, update);
 */
import {
  type EncodedTensor,
  type EncodeOptions,
  encodeMetadata,
  encodeTensor,
  filePieces,
} from "../file/encode.js";
import type { Part } from "../file/entries.js";
import type { DecodeLimits } from "../file/limits.js";
import { partOf } from "../file/parts.js";
import { joinPieces } from "../loaders/source.js";
import { type NextTensor, nextBytes, nextModel, nextQuantized } from "./next.js";

/**
 * @param base the file that the update is for: a whole .bitdiet file
 * @throws {CorruptInputError} if one of both is damaged or beyond the limits, or the update is for another file
 */
export async function applyUpdate(
  base: Uint8Array,
  update: Uint8Array,
  options: Pick<EncodeOptions, "minGain"> & DecodeLimits = {},
): Promise<Uint8Array> {
  const { metadata, tensors } = await nextModel(base, update, options);
  const blobs = [...metadata].map(([name, bytes]) => encodeMetadata(name, bytes));
  const parts: EncodedTensor[] = [];
  for (const tensor of tensors) parts.push(await encoded(tensor, options));
  return joinPieces(filePieces(blobs, parts));
}

async function encoded(next: NextTensor, options: EncodeOptions): Promise<EncodedTensor> {
  const { entry, file, before } = next;
  if (before) {
    const { name, dtype, shape } = before.entry;
    if (entry.quantized) return encodeTensor({ name, dtype, quantized: await nextQuantized(next) }, options);
    return encodeTensor({ name, dtype, shape, bytes: await nextBytes(next) }, options);
  }
  const bytesOf = (part: Part) => partOf(file.bytes, part).slice();
  const { same: _, part, refinementPart, ...rest } = entry;
  return {
    entry: { ...rest, part, ...(refinementPart && { refinementPart }) },
    bytes: bytesOf(part),
    ...(refinementPart && { refinement: bytesOf(refinementPart) }),
  };
}
