/**
 * Numbers of any size, and bytes, one after the other: what all chapters of the format are written in.
 *
 *     writeNumber(bytes, 300)   // appends ac 02: LEB128, 7 bits a byte, lowest first
 */
import { readNumber as readLeb128, writeNumber } from "@bitdiet/stream";
import { must } from "./errors.js";

/** What is read, and from where on. */
export interface Reader {
  bytes: Uint8Array;
  position: number;
}

export { writeNumber };

/** LEB128, in its shortest form, below 2^49. @throws {CorruptInputError} if it is none */
export const readNumber = (reader: Reader): number => readLeb128(() => reader.bytes[reader.position++]);

/** A number that may be negative: s is written as 2s, or as -2s - 1 below 0. */
export function readSigned(reader: Reader): number {
  const number = readNumber(reader);
  return number % 2 ? -(number + 1) / 2 : number / 2;
}

export function writeSigned(bytes: number[], number: number): void {
  writeNumber(bytes, number >= 0 ? 2 * number : -2 * number - 1);
}

/** The next `length` bytes, a view. @throws {CorruptInputError} if there are fewer */
export function readBytes(reader: Reader, length: number): Uint8Array {
  const end = reader.position + length;
  must(end <= reader.bytes.length);
  const bytes = reader.bytes.subarray(reader.position, end);
  reader.position = end;
  return bytes;
}

/** Bytes with their length before them. */
export function readBlock(reader: Reader): Uint8Array {
  return readBytes(reader, readNumber(reader));
}

export function blockOf(bytes: Uint8Array): Uint8Array {
  const length: number[] = [];
  writeNumber(length, bytes.length);
  return join([length, bytes]);
}

/** All pieces in one array of their own. */
export function join(pieces: readonly ArrayLike<number>[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    joined.set(piece, at);
    at += piece.length;
  }
  return joined;
}

/** Elements of a tensor of this shape; 1 of a scalar. */
export const elementsOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
