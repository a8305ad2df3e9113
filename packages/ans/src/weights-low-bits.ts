/**
 * What values have beyond their symbols: the low bits of large scales, and values that no symbol stands for. One bit field after the
 * other, the first in the lowest place.
 *
 *     excess 0 .. 7: 0 and 3 bits · 8 .. 23: 10 and 4 bits · 24 .. 55: 110 and 5 bits · …   (ones first)
 */
import { corrupt } from "@bitdiet/stream";
import { OCTAVES } from "./weights-contexts.js";
import { ESCAPE, ownTable, RARE } from "./weights-tables.js";

export interface LowBits {
  bytes: Uint8Array;
  bit: number;
}

/** @param width 0 .. 24. Behind the end are zeros */
function takeField({ bytes, bit }: LowBits, width: number): number {
  const at = bit >>> 3;
  const word = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
  return (word >>> (bit & 7)) & ((1 << width) - 1);
}

function takeLowBits(low: LowBits, width: number): number {
  const first = Math.min(width, 16);
  let value = takeField(low, first);
  low.bit += first;
  if (width > 16) {
    value |= takeField(low, width - 16) << 16;
    low.bit += width - 16;
  }
  return value;
}

/** How far a magnitude is above the largest with a symbol. */
function takeExcess(low: LowBits): number {
  let width = 3;
  while (takeLowBits(low, 1) === 1) if (++width > 30) corrupt("weights: escape");
  return (1 << width) - 8 + takeLowBits(low, width);
}

/** The value of a word from RARE - 64 on. @param table by scale, and class of the expected value where there are kernels */
export function rareValue(
  low: LowBits,
  limits: Uint8Array,
  isMatrix: boolean,
  symbol: number,
  table: number,
): number {
  const shift = Math.max(0, (table >> (isMatrix ? 2 : 4)) - OCTAVES + 1);
  let value = symbol - RARE;
  if (symbol === ESCAPE) {
    const isNegative = takeLowBits(low, 1) === 1;
    const magnitude = limits[ownTable(isMatrix, table, shift)] + 1 + takeExcess(low);
    value = isNegative ? -magnitude : magnitude;
  }
  return shift === 0 ? value : (value << shift) | takeLowBits(low, shift);
}
