/**
 * The error that every decoder of this package throws on bytes that no encoder of it wrote, or that were changed or cut since.
 * A wrong argument (a negative length, an array of the wrong type) is a TypeError or a RangeError instead.
 *
 *     try { decompress(bytes.subarray(0, 9)); } catch (error) { error instanceof CorruptInputError }  // true
 */
export class CorruptInputError extends Error {
  override readonly name = "CorruptInputError";
}
