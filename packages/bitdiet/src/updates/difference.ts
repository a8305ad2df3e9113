/**
 * What a tensor has become since an earlier version of it that the decoder has. FORMAT.md, "Updates".
 *
 *     withDifference(before, differenceOf(before, values, { octaves: 0, rate: 0.08 })!);  // integers of the new values, on the old steps
 *     withBits(old, bitsBetween(old, bytes, 4), 4);                                       // the new bytes, bit for bit
 */
import { weightRateModel } from "@bitdiet/cabac";
import { must } from "../file/errors.js";
import type { QuantizedTensor } from "../file/quantized-tensor.js";
import { rowsOf, toRows } from "../file/rows.js";
import type { Dtype } from "../model.js";
import { cheapest } from "../quantize/weights.js";

/** How finely a difference is told. */
export interface DifferenceFineness {
  /** Octaves by which its unit is finer than the steps that there were. */
  octaves: number;
  /** What a bit is worth, in squared units. */
  rate: number;
}

const MAX_OCTAVES = 24;

/**
 * Multiples of a unit that bring integers to new values, few of them other than 0 where little has changed: its only step, a power
 * of 2, is the unit in steps of the earlier tensor.
 *
 * @param values of the new tensor, row-major, as many as the earlier one has
 * @returns undefined where a row that was pruned has values again, which no multiple of its step 0 can be
 */
export function differenceOf(
  { shape, integers, axis, steps }: QuantizedTensor,
  values: Float32Array,
  { octaves, rate }: DifferenceFineness,
): QuantizedTensor | undefined {
  const { extents, kernel } = rowsOf(shape, axis);
  const rowLength = extents[1] * extents[2];
  const unit = 2 ** -octaves;
  const inRows = toRows(values, shape, axis);
  const changes = new Int32Array(integers.length);
  const model = weightRateModel({ rowLength, kernel });
  for (let row = 0, i = 0; row < extents[0]; row++) {
    const step = (steps[row] ?? steps[0]) * unit;
    for (const end = i + rowLength; i < end; i++) {
      if (step === 0 && inRows[i] !== 0) return undefined;
      const exact = step === 0 ? 0 : inRows[i] / step - integers[i] / unit;
      if (!(Math.abs(exact) < 2 ** 30)) return undefined;
      changes[i] = cheapest(exact, rate, model);
      model.update(changes[i]);
    }
  }
  return { shape, integers: changes, axis, steps: Float32Array.of(unit) };
}

/** @throws {CorruptInputError} unless the difference is one of this tensor's */
export function withDifference(before: QuantizedTensor, difference: QuantizedTensor): QuantizedTensor {
  const { shape, axis } = before;
  const [unit] = difference.steps;
  const octaves = -Math.log2(unit);
  const fits = difference.axis === axis && `${difference.shape}` === `${shape}`;
  must(fits && difference.steps.length === 1 && Number.isInteger(octaves));
  must(Math.abs(octaves) <= MAX_OCTAVES);
  const [finer, coarser] = [2 ** Math.max(0, octaves), 2 ** Math.max(0, -octaves)];
  const integers = before.integers.map((integer, i) => {
    const changed = integer * finer + difference.integers[i] * coarser;
    must(Math.abs(changed) < 2 ** 31);
    return changed;
  });
  const steps = before.steps.map((step) => step / finer);
  must(steps.every((step, row) => step > 0 || before.steps[row] === 0));
  return { shape, integers, axis, steps };
}

/** Unsigned type of elements of these bytes: differences of bits have it. */
export const bitsDtype: Readonly<Record<number, Dtype>> = {
  1: "uint8",
  2: "uint16",
  4: "uint32",
  8: "uint64",
};

/**
 * Words of elements, of 32 bits at most, less those that there were: small differences of either sign become small unsigned numbers.
 *
 * @param width bytes of an element
 */
export function bitsBetween(before: Uint8Array, after: Uint8Array, width: number): Uint8Array {
  return eachWord(before, after, width, (a, b, up) => {
    const change = ((b - a) << up) >> up;
    return (change << 1) ^ (change >> 31);
  });
}

/** The inverse. @throws {CorruptInputError} unless there are as many bytes as before */
export function withBits(before: Uint8Array, difference: Uint8Array, width: number): Uint8Array {
  must(before.length === difference.length && before.length % width === 0);
  return eachWord(before, difference, width, (a, d) => a + ((d >>> 1) ^ -(d & 1)));
}

function eachWord(
  first: Uint8Array,
  second: Uint8Array,
  width: number,
  combine: (a: number, b: number, up: number) => number,
): Uint8Array {
  const Words = width === 1 ? Uint8Array : width === 2 ? Uint16Array : Uint32Array;
  const up = 32 - 8 * Words.BYTES_PER_ELEMENT;
  const [a, b] = [first, second].map((bytes) => new Words(new Uint8Array(bytes).buffer));
  for (let i = 0; i < a.length; i++) a[i] = combine(a[i], b[i], up);
  return new Uint8Array(a.buffer);
}
