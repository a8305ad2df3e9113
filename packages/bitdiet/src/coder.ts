/**
 * One shape for all entropy coders: a tensor's integers to self-describing bytes and back, and what that would cost,
 * known without encoding. A coder is a value of this shape; the smallest is chosen by comparing estimates.
 *
 *     const { encode } = smallestCoder(integers, { rowLength: 576, kernel: [3, 3] });
 */

/** How the integers lie in their tensor, for coders that look at neighbours. */
export interface IntegerShape {
  /** Integers in one row (one output channel of a weight); all rows are equally long. Default: one row. */
  rowLength?: number;
  /** Height and width of the kernels that a row consists of, e.g. [3, 3] of OIHW weights. Default: [1, 1]. */
  kernel?: readonly [number, number];
}

export interface Coder {
  /** As people call it. */
  name: string;
  /**
   * Size of `encode(integers, shape)` in bits, to within 0.1 % and a few bytes, without encoding. Infinity where this
   * coder cannot hold the integers.
   */
  estimateBits(integers: Int32Array, shape?: IntegerShape): number;
  /** @throws {RangeError} if a integer is too large for this coder, or the rows are not whole */
  encode(integers: Int32Array, shape?: IntegerShape): Uint8Array;
  /**
   * @param maxLength the most integers to give out
   * @throws {Error} named CorruptInputError unless `bytes` are exactly one whole stream of this coder
   */
  decode(bytes: Uint8Array, limits?: { maxLength?: number }): Int32Array;
}

/**
 * The coder with the smallest estimate for these integers; the first of equals. Nothing is encoded.
 *
 * @param coders candidates, at least one
 * @throws {TypeError} if integers is no Int32Array; {RangeError} if there are no coders
 */
export function smallestOf(coders: readonly Coder[], integers: Int32Array, shape?: IntegerShape): Coder {
  if (!(integers instanceof Int32Array))
    throw new TypeError(`integers: expected an Int32Array, got ${typeof integers}`);
  if (coders.length === 0) throw new RangeError("coders: expected at least one, got none");
  const bits = coders.map((coder) => coder.estimateBits(integers, shape));
  return coders[bits.indexOf(Math.min(...bits))];
}
