/**
 * Checks of arguments that several functions take.
 *
 *     checkSymbol(16, 3, 16)  // RangeError: symbols[3]: expected an integer 0..15, got 16
 */

/** @throws {RangeError} naming the first symbol that is not an integer below `alphabet` */
export function checkSymbol(symbol: number, index: number, alphabet: number): void {
  if (!(Number.isInteger(symbol) && symbol >= 0 && symbol < alphabet)) {
    throw new RangeError(`symbols[${index}]: expected an integer 0..${alphabet - 1}, got ${symbol}`);
  }
}

export function checkCount(count: number): void {
  if (!(Number.isSafeInteger(count) && count >= 0))
    throw new RangeError(`count: expected an integer >= 0, got ${count}`);
}

export function checkBytes(bytes: unknown): asserts bytes is Uint8Array {
  if (!(bytes instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${typeof bytes}`);
}
