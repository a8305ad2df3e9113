/** The one error that bytes from outside can cause; a wrong argument is a TypeError or a RangeError instead. */

/** Thrown by every decoder here when its bytes are truncated, altered, or were never ours. */
export class CorruptInputError extends Error {
  override readonly name = "CorruptInputError";
}
