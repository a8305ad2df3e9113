/**
 * Bits and bytes of the headers, where compactness and checking count and speed does not.
 *
 *     bits(5, 3), align, bits(1, 8) -> 0b00000101, 0b00000001
 */

import { corrupt, readNumber } from "@bitdiet/stream";
export interface HeaderWriter {
  bytes: number[];
  /** Bits of the last, unfinished byte: 0 .. 7 of them, the first in the lowest place. */
  pending: number;
  used: number;
}

export function headerWriter(): HeaderWriter {
  return { bytes: [], pending: 0, used: 0 };
}

/** Appends the low `width` bits of value, lowest first; width 0 .. 24. */
export function putBits(writer: HeaderWriter, value: number, width: number): void {
  writer.pending |= (value & ((1 << width) - 1)) << writer.used;
  writer.used += width;
  while (writer.used >= 8) {
    writer.bytes.push(writer.pending & 255);
    writer.pending >>>= 8;
    writer.used -= 8;
  }
}

/** Elias gamma: as many zeros as value has bits after its first, a one, those bits. value 1 .. 2^16. */
export function putGamma(writer: HeaderWriter, value: number): void {
  const width = 31 - Math.clz32(value);
  putBits(writer, 1 << width, width + 1);
  putBits(writer, value, width);
}

/** Fills the last byte with zeros. */
export function alignBits(writer: HeaderWriter): void {
  if (writer.used > 0) putBits(writer, 0, 8 - writer.used);
}

export interface HeaderReader {
  bytes: Uint8Array;
  /** The next bit; numbers and alignment keep it a multiple of 8. */
  bit: number;
}

export function takeBits(reader: HeaderReader, width: number): number {
  if (reader.bit + width > reader.bytes.length * 8) corrupt("header: end");
  let value = 0;
  for (let i = 0; i < width; i++, reader.bit++) {
    value |= ((reader.bytes[reader.bit >>> 3] >>> (reader.bit & 7)) & 1) << i;
  }
  return value;
}

/** @param limit the greatest allowed value, below 2^24 */
export function takeGamma(reader: HeaderReader, limit: number): number {
  let width = 0;
  while (takeBits(reader, 1) === 0) width++;
  const value = width < 24 ? (1 << width) | takeBits(reader, width) : limit + 1;
  if (value > limit) corrupt("header: number");
  return value;
}

export function takeAlignment(reader: HeaderReader): void {
  if (takeBits(reader, -reader.bit & 7) !== 0) corrupt("header: padding");
}

/** A number in LEB128. */
export function takeNumber(reader: HeaderReader): number {
  return readNumber(() => takeBits(reader, 8));
}
