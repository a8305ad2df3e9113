/**
 * Signed integers as unsigned symbols, small magnitudes first: 0, -1, 1, -2, 2 … become 0, 1, 2, 3, 4 … For coders of
 * unsigned symbols, whose alphabets then stay small without an offset to store.
 */

/** The largest magnitude whose symbol fits 16 bits. */
export const MAX_MAGNITUDE = 32767;

/** Whether every integer has a 16-bit symbol. */
export function fitsSymbols(integers: Int32Array): boolean {
  for (const integer of integers) if (integer < -MAX_MAGNITUDE || integer > MAX_MAGNITUDE) return false;
  return true;
}

/**
 * Bytes where all symbols fit, else 16-bit words.
 *
 * @throws {RangeError} if a integer is beyond ±32,767
 */
export function toSymbols(integers: Int32Array): Uint8Array | Uint16Array {
  let all = 0;
  for (let i = 0; i < integers.length; i++) {
    const integer = integers[i];
    if (integer < -MAX_MAGNITUDE || integer > MAX_MAGNITUDE) {
      throw new RangeError(
        `integers: expected -${MAX_MAGNITUDE} to ${MAX_MAGNITUDE}, got ${integer} at index ${i}`,
      );
    }
    all |= (integer << 1) ^ (integer >> 31);
  }
  const symbols = all < 256 ? new Uint8Array(integers.length) : new Uint16Array(integers.length);
  for (let i = 0; i < integers.length; i++) symbols[i] = (integers[i] << 1) ^ (integers[i] >> 31);
  return symbols;
}

/** The same where one byte a symbol is all there is; undefined if a integer is below -128 or above 127. */
export function byteSymbols(integers: Int32Array): Uint8Array | undefined {
  const symbols = new Uint8Array(integers.length);
  for (let i = 0; i < integers.length; i++) {
    const integer = integers[i];
    if (integer < -128 || integer > 127) return undefined;
    symbols[i] = (integer << 1) ^ (integer >> 31);
  }
  return symbols;
}

export function fromSymbols(symbols: ArrayLike<number>): Int32Array {
  const integers = new Int32Array(symbols.length);
  for (let i = 0; i < symbols.length; i++) integers[i] = (symbols[i] >>> 1) ^ -(symbols[i] & 1);
  return integers;
}
