/**
 * What decoders throw at bytes that no encoder wrote: cut, altered, or made up.
 *
 *     named('tensor "w"', () => must(false))   // CorruptInputError: tensor "w": it contradicts itself
 */
import { CorruptInputError } from "@bitdiet/stream";

export { CorruptInputError };

/**
 * @param otherwise what to say; the default is for what cannot be though its hash fits: bytes made up, or by a faulty writer
 * @throws {CorruptInputError} unless the condition holds
 */
export function must(condition: boolean, otherwise = "it contradicts itself"): asserts condition {
  if (!condition) throw new CorruptInputError(otherwise);
}

/** Throws on; errors of the coders become errors of this package, saying what they are about. */
export const failed =
  (what: string) =>
  (error: unknown): never => {
    throw error instanceof CorruptInputError ? new CorruptInputError(`${what}: ${error.message}`) : error;
  };

/** What `decode` gives, its errors saying what they are about. */
export function named<T>(what: string, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    return failed(what)(error);
  }
}
