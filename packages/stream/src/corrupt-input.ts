/**
 * The one error that bytes from outside can cause; a wrong argument is a TypeError or a RangeError instead.
 *
 *     try { decompress(bytes.subarray(0, 9)); } catch (error) { error instanceof CorruptInputError }  // true
 */

/**
 * Thrown by every decoder when its bytes were cut, altered, or never written by its encoder.
 *
 * Each package carries a copy of this class, as an ES module and as CommonJS. `instanceof` asks for the name, so that an
 * error of any copy is an instance of all.
 */
export class CorruptInputError extends Error {
  override readonly name = "CorruptInputError";

  static override [Symbol.hasInstance](value: unknown): boolean {
    return (value as Error | undefined | null)?.name === "CorruptInputError";
  }
}

/**
 * An expression, so that a check stays one line.
 *
 * @throws {CorruptInputError} always
 */
export function corrupt(message: string): never {
  throw new CorruptInputError(message);
}
