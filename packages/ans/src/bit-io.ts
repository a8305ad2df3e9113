/**
 * Bits and bytes of the headers, where compactness and checking count and speed does not.
 *
 *     writer: bits(5, 3), varint(300) -> [0b101] is flushed to a byte, then 0xac 0x02 (LEB128)
 */
import { corrupt } from "./errors.js";

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

/** LEB128: 7 bits a byte, lowest first, the top bit saying that more follow. value 0 .. 2^53. */
export function putVarint(writer: HeaderWriter, value: number): void {
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) writer.bytes.push((rest % 128) | 128);
  writer.bytes.push(rest);
}

export interface HeaderReader {
  bytes: Uint8Array;
  /** The next bit; varints and alignment keep it a multiple of 8. */
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

/** Refuses numbers from 2^49 on and those not in their shortest form. */
export function takeVarint(reader: HeaderReader): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 49; scale *= 128) {
    const byte = takeBits(reader, 8);
    value += (byte & 127) * scale;
    if (byte < 128 && (byte > 0 || scale === 1)) return value;
    if (byte === 0) break;
  }
  return corrupt("header: number");
}
