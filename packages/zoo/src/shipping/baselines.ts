// What the same integers take without an entropy coder of ours: bit-packed, and packed or one byte each through brotli, with
// everything that is not an integer beside them. The baseline of every file size.
// Example: [0, -1, 1, 0] are 2 bits each, one byte packed.
import { brotliCompressSync, constants } from "node:zlib";
import type { QuantizedTensor } from "bitdiet";
import { bitWriter } from "./bit-stream.js";

/** Bits of the least width that holds every integer of a tensor, on a scale symmetric about 0; 0 if all are 0. */
export function fixedWidth({ integers }: Pick<QuantizedTensor, "integers">): number {
  const largest = integers.reduce((most, integer) => Math.max(most, Math.abs(integer)), 0);
  return Math.ceil(Math.log2(2 * largest + 1));
}

/** Integers at that width, one after the other. */
export function packed(tensor: Pick<QuantizedTensor, "integers">): Uint8Array {
  const width = fixedWidth(tensor);
  const largest = 2 ** (width - 1) - 1;
  const writer = bitWriter();
  if (width > 0) for (const integer of tensor.integers) writer.put(integer + largest, width);
  return writer.bytes();
}

/** @param side bytes that a decoder needs beside the integers */
export const packedBrotliBytes = (tensors: Iterable<QuantizedTensor>, side: Uint8Array): number =>
  brotliBytes([...Array.from(tensors, packed), side]);

/** The same with a byte for each integer; those beyond a byte, and there are none in this repository, would wrap. */
export const byteBrotliBytes = (tensors: Iterable<QuantizedTensor>, side: Uint8Array): number =>
  brotliBytes([...Array.from(tensors, ({ integers }) => new Uint8Array(integers)), side]);

/** Brotli at its highest quality. */
export function brotliBytes(parts: readonly Uint8Array[]): number {
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
  return brotliCompressSync(Buffer.concat(parts), quality).length;
}
