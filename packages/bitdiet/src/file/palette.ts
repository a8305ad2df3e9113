/**
 * Elements of few different values, as the values and each element's place among them. For masks, tables of cosines, weights that were
 * rounded once: whatever a mantissa hides, places tell it.
 *
 *     paletteOf(bytesOf(Float32Array.of(0, -1, 0)), 4);   // values -1 and 0, indices 1, 0, 1
 */
import { type Dtype, isFloat } from "../model.js";

/** Values, ascending, and which of them each element is: a byte each for up to 256 values, else two, the low one first. */
export interface Palette {
  values: Uint8Array;
  indices: Uint8Array;
}

export const MAX_VALUES = 2 ** 16;
/** More values, for so many elements, are no table. */
const MAX_SHARE = 1 / 4;

/** Bytes of an index among so many values. */
export const indexWidth = (values: number): number => (values <= 256 ? 1 : 2);

/** @returns undefined for bytes with too many values, and for those of elements that have no two, four or eight bytes each */
export function paletteOf(bytes: Uint8Array, dtype: Dtype, width: number): Palette | undefined {
  if (width !== 2 && width !== 4 && width !== 8) return undefined;
  const count = bytes.length / width;
  const most = Math.min(MAX_VALUES, Math.floor(count * MAX_SHARE));
  const elements = elementsOf(new Uint8Array(bytes).buffer, width);
  const seen = new Map<number | bigint, number>();
  for (const element of elements) {
    if (seen.has(element)) continue;
    if (seen.size === most) return undefined;
    seen.set(element, 0);
  }
  const order = isFloat(dtype) ? byValue(8 * width) : (element: number | bigint) => element;
  const sorted = [...seen.keys()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
  sorted.forEach((element, place) => void seen.set(element, place));
  const indices = new Uint8Array(count * indexWidth(sorted.length));
  const wide = indexWidth(sorted.length) === 2;
  elements.forEach((element: number | bigint, i: number) => {
    const place = seen.get(element)!;
    indices[wide ? 2 * i : i] = place;
    if (wide) indices[2 * i + 1] = place >> 8;
  });
  const values = new Uint8Array(sorted.length * width);
  elementsOf(values.buffer, width).set(sorted as never);
  return { values, indices };
}

function elementsOf(buffer: ArrayBuffer, width: number) {
  return (width === 2
    ? new Uint16Array(buffer)
    : width === 4
      ? new Uint32Array(buffer)
      : new BigUint64Array(buffer)) as unknown as Uint32Array;
}

/** Bits of a float as a number that grows with it. */
function byValue(bits: number) {
  const sign = 1n << BigInt(bits - 1);
  return (element: number | bigint): bigint => {
    const number = BigInt(element);
    return number & sign ? sign - 1n - (number - sign) : number + sign;
  };
}
