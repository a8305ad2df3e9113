/**
 * Tensors of integers that were weights before they came here, bit for bit: integers in rows, by the coders of weights. FORMAT.md,
 * "Tensors of integers".
 *
 *     const lie = { axis: 0, width: 0 };
 *     const { coder, bytes } = writeIntegerTensor(new Uint8Array([1, 0, 254, 3]), "int8", [2, 2], lie, 0, written)!;
 *     readIntegerTensor(bytes, "int8", [2, 2], { ...lie, coder }); // the same four bytes
 */
import { type Dtype, dtypeBits, elementCount, type IntegerRows } from "../model.js";
import { must } from "./errors.js";
import { type CodedIntegers, codeIntegers, type Measure, readIntegers } from "./integers.js";
import { join, type Reader, readBytes, readSigned, writeSigned } from "./numbers.js";
import { type Rows, rowsOf, scatterRows, toRows } from "./rows.js";

interface Layout {
  /** Integers in the tensor. */
  count: number;
  bits: number;
  isSigned: boolean;
  rows: Rows;
}

/** @returns undefined where a tensor cannot be integers that lie so */
export function integerLayout(
  dtype: Dtype,
  shape: readonly number[],
  { axis, width }: IntegerRows,
): Layout | undefined {
  const element = dtypeBits[dtype];
  const bits = width === 0 ? element : width;
  const perElement = element / bits;
  const elements = elementCount(shape);
  const count = elements * perElement;
  const isPossible =
    /^u?int/.test(dtype) &&
    [2, 4, 8].includes(bits) &&
    (width === 0 || (element % 8 === 0 && axis === 0 && shape.length > 0)) &&
    axis < Math.max(1, shape.length) &&
    elements > 0 &&
    count < 2 ** 31;
  if (!isPossible) return undefined;
  const isSigned = width === 0 && dtype.startsWith("int");
  const rows = width === 0 ? rowsOf(shape, axis) : rowsOf([shape[0], count / shape[0]], 0);
  return { count, bits, isSigned, rows };
}

/** offset · integers less the offset. @throws {CorruptInputError} unless the part is exactly a tensor of these */
export function readIntegerTensor(
  part: Uint8Array,
  dtype: Dtype,
  shape: readonly number[],
  { coder, ...lie }: IntegerRows & { coder: number },
): Uint8Array<ArrayBuffer> {
  const layout = integerLayout(dtype, shape, lie);
  must(layout !== undefined);
  const { count, bits, isSigned, rows } = layout;
  const reader: Reader = { bytes: part, position: 0 };
  const least = isSigned ? -(2 ** (bits - 1)) : 0;
  const offset = readSigned(reader);
  must(offset >= least && offset < least + 2 ** bits);
  const [length, middle, inner] = rows.extents;
  const shapeOfRows = { rowLength: middle * inner, kernel: rows.kernel };
  const coded = readIntegers(readBytes(reader, part.length - reader.position), count, coder, shapeOfRows);
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

/** @returns undefined where the tensor has no such integers, or bits that none of them has */
export function writeIntegerTensor(
  bytes: Uint8Array,
  dtype: Dtype,
  shape: readonly number[],
  lie: IntegerRows,
  minGain: number,
  measure: Measure,
): CodedIntegers | undefined {
  const layout = integerLayout(dtype, shape, lie);
  if (!layout) return undefined;
  const { count, bits, isSigned, rows } = layout;
  const unused = 8 * bytes.length - count * bits;
  if (unused > 0 && bytes[bytes.length - 1] >> (8 - unused) > 0) return undefined;
  const integers = integersIn(bytes, count, bits, isSigned);
  const offset = integers.slice().sort()[count >> 1];
  for (let i = 0; i < count; i++) integers[i] -= offset;
  const inRows = lie.width === 0 ? toRows(integers, shape, lie.axis) : integers;
  const rowShape = { rowLength: rows.extents[1] * rows.extents[2], kernel: rows.kernel };
  const coded = codeIntegers(inRows, rowShape, minGain, measure);
  const start: number[] = [];
  writeSigned(start, offset);
  return {
    coder: coded.coder,
    length: start.length + coded.length,
    ...(coded.bytes && { bytes: join([start, coded.bytes]) }),
  };
}

/** Integers of at most 8 bits, each byte from its lowest bits on. */
export function integersIn(bytes: Uint8Array, count: number, bits: number, isSigned: boolean): Int32Array {
  const up = 32 - bits;
  return Int32Array.from({ length: count }, (_, i) => {
    const raised = (bytes[(i * bits) >> 3] >> ((i * bits) & 7)) << up;
    return isSigned ? raised >> up : raised >>> up;
  });
}
