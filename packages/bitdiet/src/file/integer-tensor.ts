/**
 * Tensors of integers that were weights before they came here, bit for bit: integers in rows, by the coders of weights. FORMAT.md,
 * "Tensors of integers".
 *
 *     const lie = { axis: 0, width: 0 };
 *     const { coder, bytes } = writeIntegerTensor(new Uint8Array([1, 0, 254, 3]), "int8", [2, 2], lie, 0, written)!;
 *     await readIntegerTensor(bytes, "int8", [2, 2], { ...lie, coder }); // the same four bytes
 */
import type { Dtype, IntegerRows } from "../model.js";
import { must } from "./errors.js";
import { integerLayout } from "./integer-layout.js";
import { readIntegers } from "./integers.js";
import { type Reader, readBytes, readSigned } from "./numbers.js";
import { scatterRows } from "./rows.js";

/** offset · integers less the offset. @throws {CorruptInputError} unless the part is exactly a tensor of these */
export async function readIntegerTensor(
  part: Uint8Array,
  dtype: Dtype,
  shape: readonly number[],
  { coder, ...lie }: IntegerRows & { coder: number },
): Promise<Uint8Array<ArrayBuffer>> {
  const layout = integerLayout(dtype, shape, lie);
  must(layout !== undefined);
  const { count, bits, isSigned, rows } = layout;
  const reader: Reader = { bytes: part, position: 0 };
  const least = isSigned ? -(2 ** (bits - 1)) : 0;
  const offset = readSigned(reader);
  must(offset >= least && offset < least + 2 ** bits);
  const [length, middle, inner] = rows.extents;
  const shapeOfRows = { rowLength: middle * inner, kernel: rows.kernel };
  const coded = await readIntegers(
    readBytes(reader, part.length - reader.position),
    count,
    coder,
    shapeOfRows,
  );
  const factors = new Float64Array(length).fill(1);
  const integers = scatterRows(new Float32Array(count), coded, rows, factors);
  const bytes = new Uint8Array(Math.ceil((count * bits) / 8));
  for (let i = 0; i < count; i++) {
    const integer = integers[i] + offset;
    must(integer >= least && integer < least + 2 ** bits);
    bytes[(i * bits) >> 3] |= (integer & (2 ** bits - 1)) << ((i * bits) & 7);
  }
  return bytes;
}
