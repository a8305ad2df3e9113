/**
 * Turns a histogram into frequencies that sum to the table size 2^tableLog, at the least coding cost
 * sum(counts[s] * log2(2^tableLog / frequencies[s])), every present symbol keeping at least 1.
 *
 *     normalizeCounts([6, 1, 1, 0], 3)  // [6, 1, 1, 0]
 *     normalizeCounts([1000, 1], 3)     // [7, 1]
 *
 * The cost is separable and convex, so the greedy that starts from 1 and always gives the next slot to the symbol
 * that gains most, counts[s] * ln((f + 1) / f), is optimal (Fox 1966, discrete marginal allocation). It passes
 * through every state "all gains >= price are taken": one of those is found by bisection on the price, and only the
 * last few slots are handed out one by one. All gains are made of + - * /, so every engine picks the same slots.
 */
import { stepLogarithm } from "./log2.js";

export const MAX_TABLE_LOG = 14;
export const MIN_TABLE_LOG = 9;
export const MAX_ALPHABET = 4096;

/** Table log of the largest table, with at most half as many slots as there are symbols to code, that is worth its building. */
export const mostTableLog = (count: number): number =>
  Math.max(MIN_TABLE_LOG, Math.min(MAX_TABLE_LOG, 30 - Math.clz32(Math.min(count, 2 ** 31))));

/** gains[f] = ln((f + 1) / f), built at the first call. */
let gains: Float64Array | undefined;

function gainTable(): Float64Array {
  gains ??= Float64Array.from({ length: (1 << MAX_TABLE_LOG) + 1 }, (_, f) => (f > 0 ? stepLogarithm(f) : 0));
  return gains;
}

/**
 * @param counts occurrences of each symbol: integers >= 0, at least one positive, sum below 2^53; at most 4,096 of
 *   them positive
 * @param tableLog 1 .. 14
 * @returns frequencies, as long as counts; 0 exactly where the count is 0; sum 2^tableLog
 * @throws {RangeError} when no symbol occurs or more occur than the table has slots
 */
export function normalizeCounts(counts: ArrayLike<number>, tableLog: number): Uint16Array {
  if (!Number.isInteger(tableLog) || tableLog < 1 || tableLog > MAX_TABLE_LOG) {
    throw new RangeError(`tableLog: expected an integer 1..${MAX_TABLE_LOG}, got ${tableLog}`);
  }
  const present: number[] = [];
  let total = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    const count = counts[symbol];
    if (count === 0) continue;
    if (!(count > 0 && Number.isSafeInteger(count))) {
      throw new RangeError(`counts[${symbol}]: expected an integer >= 0, got ${count}`);
    }
    total += count;
    present.push(symbol);
  }
  if (present.length === 0) throw new RangeError("counts: expected at least one symbol, got none");
  if (!Number.isSafeInteger(total)) throw new RangeError(`counts: expected a sum below 2^53, got ${total}`);
  const size = 1 << tableLog;
  if (present.length > Math.min(size, MAX_ALPHABET)) {
    throw new RangeError(
      `counts: expected at most ${Math.min(size, MAX_ALPHABET)} symbols for tableLog ${tableLog}, got ${present.length}`,
    );
  }
  const frequencies = new Uint16Array(counts.length);
  const weights = Float64Array.from(present, (symbol) => counts[symbol]);
  allocate(weights, total, size).forEach((frequency, i) => {
    frequencies[present[i]] = frequency;
  });
  return frequencies;
}

/** The greedy itself over positive counts, at most `size` of them; frequencies in the same order. */
function allocate(counts: Float64Array, total: number, size: number): Uint16Array {
  const gain = gainTable();
  const taken = new Uint16Array(counts.length);
  /** Takes every slot that gains at least `price`; false when these are more than the table has. */
  const take = (price: number): boolean => {
    let sum = 0;
    for (let i = 0; i < counts.length; i++) {
      const count = counts[i];
      // ln(1 + 1/f) is about 1 / (f + 1/2): the estimate is off by one slot at most, the loops make it exact.
      let frequency = Math.min(size, Math.max(1, Math.round(count / price)));
      while (frequency < size && count * gain[frequency] >= price) frequency++;
      while (frequency > 1 && count * gain[frequency - 1] < price) frequency--;
      taken[i] = frequency;
      sum += frequency;
      if (sum > size) return false;
    }
    return true;
  };
  let high = total / size;
  let low = high / 2;
  while (!take(high)) {
    low = high;
    high *= 2;
  }
  for (let step = 0; step < 12; step++) {
    const middle = (low + high) / 2;
    if (take(middle)) high = middle;
    else low = middle;
  }
  take(high);
  let left = size;
  for (let i = 0; i < taken.length; i++) left -= taken[i];
  const next = Float64Array.from(counts, (count, i) => count * gain[taken[i]]);
  for (; left > 0; left--) {
    let best = 0;
    for (let i = 1; i < next.length; i++) if (next[i] > next[best]) best = i;
    taken[best]++;
    next[best] = counts[best] * gain[taken[best]];
  }
  return taken;
}
