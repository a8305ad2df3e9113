/**
 * A value's kind in a few characters, for messages: `bytes: expected a Uint8Array, got String`.
 *
 *     describe(null) = "Null",  describe([1]) = "Array",  describe(new Int8Array(2)) = "Int8Array"
 */
export function describe(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}
