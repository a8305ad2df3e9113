/**
 * Tables that look like weights but are told by their values: whole numbers, sines and cosines, filters that gather neighbouring
 * frequencies. They are kept as they are.
 *
 *     tableIn(Float32Array.of(0, 1, 1, 0), [2, 2]); // "whole numbers"
 */

import { integerLayout } from "../file/integer-layout.js";
import { type Dtype, elementCount, isFloat, type TensorUse, tensorBytes } from "../model.js";
import { floatValues } from "./floats.js";
import type { FollowedUse } from "./use.js";

/** Numbers that are looked at of a tensor: its first. */
const LOOKED_AT = 2 ** 16;
/** A table's rows of sines are at least so long: shorter ones may be anything. */
const MIN_ROW = 16;
const ROWS = 8;

/** A use that values may speak against. @param read the first bytes of the tensor */
export async function checkedUse(
  use: FollowedUse,
  dtype: Dtype,
  shape: readonly number[],
  read: (count: number) => Promise<Uint8Array>,
): Promise<TensorUse> {
  if (!isFloat(dtype)) return integersUse(use, dtype, shape);
  if (use.kind === "exact" || use.kind === "vector") return use;
  if (elementCount(shape) === 0) return { kind: "exact", reason: "no numbers" };
  const width = tensorBytes(dtype, [1])!;
  const rowBytes = width * (shape.at(-1) ?? 1);
  const values = floatValues(dtype, await read(rowBytes * Math.ceil((LOOKED_AT * width) / rowBytes)));
  const table = tableIn(values, shape);
  return table === undefined ? use : { kind: "exact", reason: `${table}, ${use.reason}` };
}

/** Of numbers that are no floats: integers of a weight that was quantized before, or anything else. */
function integersUse(use: FollowedUse, dtype: Dtype, shape: readonly number[]): TensorUse {
  const { reason } = use;
  const isMatrix = shape.filter((extent) => extent > 1).length >= 2;
  if ("channelAxis" in use && isMatrix) {
    const { width = 0 } = use;
    // Several in an element are several in all of them: a row then is what the first axis says.
    const lie = { axis: width > 0 ? 0 : use.channelAxis, width };
    if (integerLayout(dtype, shape, lie)) return { kind: "integers", lie, reason };
  }
  return { kind: "exact", reason: `${dtype}, ${reason}` };
}

/**
 * @param values first numbers of a tensor, whole rows of them if it has several
 * @returns what they are, or undefined if they may be weights
 */
export function tableIn(values: Float32Array, shape: readonly number[]): string | undefined {
  if (values.length === 0) return undefined;
  if (values.every((value) => Number.isInteger(value)) && values.some((value) => value !== 0))
    return "whole numbers";
  const columns = shape.at(-1) ?? 1;
  const rows = Math.floor(values.length / columns);
  if (rows < 2 || columns < 2) return undefined;
  const row = (i: number) => values.subarray(i * columns, (i + 1) * columns);
  const column = (i: number) => Float32Array.from({ length: rows }, (_, k) => values[k * columns + i]);
  if (areSines(rows, columns, row) || areSines(columns, rows, column)) return "sines or cosines";
  return isFilterBank(values, rows, columns) ? "filters that gather neighbours" : undefined;
}

/** Whether some rows across a matrix are sines of any frequency and phase: x[n - 1] + x[n + 1] = 2 cos(w) x[n]. */
function areSines(count: number, length: number, rowAt: (i: number) => Float32Array): boolean {
  if (length < MIN_ROW || count < 2) return false;
  let found = 0;
  for (let k = 0; k < ROWS; k++) {
    const x = rowAt(Math.floor((k * count) / ROWS));
    if (x.every((value) => value === x[0])) continue;
    let [xx, xy, yy] = [0, 0, 0];
    for (let n = 1; n + 1 < x.length; n++) {
      const y = x[n - 1] + x[n + 1];
      xx += x[n] ** 2;
      xy += x[n] * y;
      yy += y ** 2;
    }
    const residual = yy - xy ** 2 / xx;
    // Of random numbers, two thirds of the power is left.
    if (!(residual <= 1e-5 * (xx + yy)) || Math.abs(xy / xx) > 2.001) return false;
    found++;
  }
  return found >= 2;
}

/** Whether numbers are not negative, most are 0, and the others of each row or each column stand together. */
function isFilterBank(values: Float32Array, rows: number, columns: number): boolean {
  let zeros = 0;
  for (const value of values) {
    if (!(value >= 0)) return false;
    if (value === 0) zeros++;
  }
  if (zeros < 0.6 * values.length || zeros === values.length) return false;
  const areBands = (count: number, length: number, at: (i: number, k: number) => number) => {
    for (let i = 0; i < count; i++) {
      let changes = 0;
      for (let k = 0, before = 0; k < length; k++) {
        const now = values[at(i, k)] > 0 ? 1 : 0;
        if (now > before) changes++;
        before = now;
      }
      if (changes > 1) return false;
    }
    return true;
  };
  return (
    areBands(rows, columns, (i, k) => i * columns + k) && areBands(columns, rows, (i, k) => k * columns + i)
  );
}
