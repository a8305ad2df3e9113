/**
 * Timing by alternation: every contender runs once a round, in turn, so that a machine whose speed drifts slows
 * all of them alike. Ratios between contenders of one call are meaningful; absolute times are this machine's, now.
 */
export interface Timing {
  name: string;
  /** Best and median milliseconds of one call, over the rounds. */
  minMs: number;
  medianMs: number;
}

/** Keeps results alive so that no engine removes the work as dead code. */
export let sink: unknown;

/**
 * Runs each contender `warmup` times uncounted, then `rounds` times in turn. A call shorter than `minMs`
 * is repeated within its turn until the turn lasts that long; its time is the mean of the repeats.
 *
 * @param contenders name -> function; an async function is awaited
 * @returns one Timing a contender, in the given order
 */
export async function alternate(
  contenders: Record<string, () => unknown>,
  { rounds = 5, warmup = 1, minMs = 20 }: { rounds?: number; warmup?: number; minMs?: number } = {},
): Promise<Timing[]> {
  const names = Object.keys(contenders);
  const times = names.map(() => [] as number[]);
  for (let round = -warmup; round < rounds; round++) {
    for (const [index, name] of names.entries()) {
      const start = performance.now();
      let calls = 0;
      let elapsed = 0;
      do {
        sink = await contenders[name]();
        calls++;
        elapsed = performance.now() - start;
      } while (elapsed < minMs);
      if (round >= 0) times[index].push(elapsed / calls);
    }
  }
  return names.map((name, index) => ({
    name,
    minMs: Math.min(...times[index]),
    medianMs: median(times[index]),
  }));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
