/**
 * Whole numbers as LEB128: 7 bits a byte, lowest first, the top bit set while more follow.
 *
 *     300 = 0b10_0101100: bytes ac 02
 */
import { corrupt } from "./corrupt-input.js";

/** Appends a number. @param number 0 .. 2^49 - 1 */
export function writeNumber(bytes: number[], number: number): void {
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) + 128);
  bytes.push(number);
}

/** How many bytes `writeNumber` appends. */
export function numberBytes(number: number): number {
  return number < 128 ? 1 : 1 + numberBytes(Math.floor(number / 128));
}

/**
 * A number, byte by byte.
 *
 * @param next the next byte; undefined (or an error) where there is none
 * @throws {CorruptInputError} if the bytes end, the number is 2^49 or more, or it is not in its shortest form
 */
export function readNumber(next: () => number): number {
  let value = 0;
  for (let unit = 1; unit < 2 ** 49; unit *= 128) {
    const byte = next();
    value += (byte & 127) * unit;
    if (byte < 128 && (byte > 0 || unit === 1)) return value;
    if (!byte) break;
  }
  return corrupt("header: number");
}
