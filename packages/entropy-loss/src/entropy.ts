/**
 * Exact Shannon entropy of integers, the floor under any order-0 code for them.
 *
 * entropy([0, 0, 1, 1, 3, 3], 4) = log2 3 = 1.584963 bits per element
 */
import { Tensor } from "@tensorflow/tfjs-core";

/**
 * Entropy in bits per element, a statistic and not a loss: it reads a tensor's data. Where that stalls a GPU, pass
 * `await indices.data()` instead. Nothing to code costs nothing: empty input gives 0.
 *
 * @param indices integers 0 .. levelCount - 1, as a tensor of any shape or an array
 * @param levelCount positive integer
 * @throws {RangeError} if levelCount is no positive integer, or an element no integer in range
 */
export function entropy(indices: Tensor | ArrayLike<number>, levelCount: number): number {
  if (!(Number.isInteger(levelCount) && levelCount > 0)) {
    throw new RangeError(`levelCount: expected a positive integer, got ${levelCount}`);
  }
  const symbols: ArrayLike<number> = indices instanceof Tensor ? indices.dataSync() : indices;
  const counts = new Float64Array(levelCount);
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i];
    if (symbol >>> 0 !== symbol || symbol >= levelCount) {
      throw new RangeError(
        `indices: expected integers in 0..${levelCount - 1}, got indices[${i}] = ${symbol}`,
      );
    }
    counts[symbol]++;
  }
  let bits = 0;
  for (const count of counts) if (count > 0) bits += count * Math.log2(symbols.length / count);
  return symbols.length === 0 ? 0 : bits / symbols.length;
}
