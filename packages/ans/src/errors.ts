/**
 * The one error that bad bytes raise; a wrong argument raises TypeError or RangeError instead.
 *
 *     decompress(new Uint8Array([1, 2]))  // throws CorruptInputError: not an ans stream: ...
 */
export class CorruptInputError extends Error {
  override name = "CorruptInputError";
}

/** Throws a CorruptInputError; an expression, so that a check stays one line. */
export function corrupt(message: string): never {
  throw new CorruptInputError(message);
}
