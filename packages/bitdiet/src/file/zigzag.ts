/**
 * Signed integers as unsigned symbols, small magnitudes first: 0, -1, 1, -2, 2 … become 0, 1, 2, 3, 4 … For coders of
 * unsigned symbols, whose alphabets then stay small without an offset to store.
 */

/** The largest magnitude whose symbol fits 16 bits. */
export const LARGEST_LEVEL = 32767;

/** Whether every level has a 16-bit symbol. */
export function fitsSymbols(levels: Int32Array): boolean {
  for (const level of levels) if (level < -LARGEST_LEVEL || level > LARGEST_LEVEL) return false;
  return true;
}

/**
 * Bytes where all symbols fit, else 16-bit words.
 *
 * @throws {RangeError} if a level is beyond ±32,767
 */
export function toSymbols(levels: Int32Array): Uint8Array | Uint16Array {
  let all = 0;
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i];
    if (level < -LARGEST_LEVEL || level > LARGEST_LEVEL) {
      throw new RangeError(
        `levels: expected -${LARGEST_LEVEL} to ${LARGEST_LEVEL}, got ${level} at index ${i}`,
      );
    }
    all |= (level << 1) ^ (level >> 31);
  }
  const symbols = all < 256 ? new Uint8Array(levels.length) : new Uint16Array(levels.length);
  for (let i = 0; i < levels.length; i++) symbols[i] = (levels[i] << 1) ^ (levels[i] >> 31);
  return symbols;
}

/** The same where one byte a symbol is all there is; undefined if a level is below -128 or above 127. */
export function byteSymbols(levels: Int32Array): Uint8Array | undefined {
  const symbols = new Uint8Array(levels.length);
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i];
    if (level < -128 || level > 127) return undefined;
    symbols[i] = (level << 1) ^ (level >> 31);
  }
  return symbols;
}

export function fromSymbols(symbols: ArrayLike<number>): Int32Array {
  const levels = new Int32Array(symbols.length);
  for (let i = 0; i < symbols.length; i++) levels[i] = (symbols[i] >>> 1) ^ -(symbols[i] & 1);
  return levels;
}
