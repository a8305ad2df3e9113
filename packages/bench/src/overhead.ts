/** What the entropy term adds to a training step: CPU times in turn, and the ratio within each round. */
import { median } from "./timing.js";

/** Rounds before the first that counts: a training is long, and its code compiled. */
const WARM_UP = 5;

export function overheadRow(network: string, sampled: number | string, plain: number[], times: number[]) {
  const [lower, middle, upper] = quartiles(times.map((time, round) => 100 * (time / plain[round] - 1)));
  return {
    network,
    "elements sampled a tensor": sampled,
    "lambda = 0, CPU ms": round(median(plain)),
    "with entropy, CPU ms": round(median(times)),
    "overhead %": round(middle),
    quartiles: `${round(lower)} .. ${round(upper)}`,
    rounds: times.length,
  };
}

/**
 * Milliseconds of CPU (all threads: compilation and garbage collection count) that each function takes, by round. CPU
 * time is not lengthened by other programs' turns; that they disturb caches and clock is why only ratios within a round
 * are used, and why the order changes. A turn repeats a short function until it lasts 300 ms.
 */
export async function cpuTimes(functions: (() => unknown)[], rounds: number): Promise<number[][]> {
  const times: number[][] = functions.map(() => []);
  for (let round = -WARM_UP; round < rounds; round++) {
    const order = functions.map((_, place) => (place + Math.max(0, round)) % functions.length);
    if (round % 2) order.reverse();
    for (const index of order) {
      const start = process.cpuUsage();
      let calls = 0;
      let elapsed = 0;
      do {
        await functions[index]();
        calls++;
        const { user, system } = process.cpuUsage(start);
        elapsed = (user + system) / 1000;
      } while (elapsed < 300);
      if (round >= 0) times[index].push(elapsed / calls);
    }
  }
  return times;
}

/** Lower quartile, median and upper quartile. */
function quartiles(values: readonly number[]): [number, number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  return [at(0.25), median(sorted), at(0.75)];
}

/** Three significant digits. */
export function round(value: number): number {
  return Number(value.toPrecision(3));
}
