/**
 * Tensors of integers to bytes: the other side of integer-tensor.ts.
 *
 *     writeIntegerTensor(new Uint8Array([1, 0, 254, 3]), "int8", [2, 2], { axis: 0, width: 0 }, 0, written);
 */
import type { Dtype, IntegerRows } from "../model.js";
import { integerLayout } from "./integer-layout.js";
import { join, writeSigned } from "./numbers.js";
import { toRows } from "./rows.js";
import { type CodedIntegers, codeIntegers, type Measure } from "./write-integers.js";

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
