/**
 * How much a decoder gives out for few bytes: equal symbols cost next to nothing, so the bytes alone bound nothing.
 *
 *     checkedMaxLength(undefined, new Uint8Array(1000))   // 2^24 + 256,000
 */

/**
 * The most values to give out: 2^24, and 256 more per byte of input, unless told.
 *
 * @throws {RangeError} if told something other than a number of at least 0
 */
export function checkedMaxLength(maxLength: number | undefined, bytes: Uint8Array): number {
  if (maxLength === undefined) return 2 ** 24 + 256 * bytes.length;
  if (!(maxLength >= 0)) throw new RangeError(`maxLength: expected at least 0, got ${maxLength}`);
  return maxLength;
}
