/**
 * How long a ring's sum takes on a network that nobody has at hand: pieces go over links that carry one at a time, in the order of
 * packages/zoo/src/ring. A stated network, not a measured one.
 *
 *     sumSeconds(64, 1_080_000, { bitsPerSecond: 1e9, latency: 1e-4 }); // seconds
 */
import { MAX_VALUES } from "@bitdiet/zoo/ring/link";

/** Links between machines, the same everywhere. */
export interface Network {
  bitsPerSecond: number;
  /** Seconds from the last bit sent to a program that has it. */
  latency: number;
}

/** A piece that a rank is ready to send on. */
interface Ready {
  time: number;
  rank: number;
  piece: number;
  isTotal: boolean;
}

/** Seconds until every rank has the total of so many bytes. */
export function sumSeconds(ranks: number, bytes: number, { bitsPerSecond, latency }: Network): number {
  if (ranks === 1) return 0;
  const pieces = Math.ceil(bytes / (4 * MAX_VALUES));
  const onLink = (8 * bytes) / pieces / bitsPerSecond;
  const free = new Array<number>(ranks).fill(0);
  const ready: Ready[] = Array.from({ length: pieces }, (_, piece) => ({
    time: 0,
    rank: 0,
    piece,
    isTotal: false,
  }));
  let end = 0;
  while (ready.length > 0) {
    let next = 0;
    for (let i = 1; i < ready.length; i++) if (isEarlier(ready[i], ready[next])) next = i;
    const [{ time, rank, piece, isTotal }] = ready.splice(next, 1);
    free[rank] = Math.max(free[rank], time) + onLink;
    const arrived = free[rank] + latency;
    const to = (rank + 1) % ranks;
    const total = isTotal || to === ranks - 1;
    end = Math.max(end, arrived);
    // The last rank makes the total; the one before it is the last to hear of it.
    if (!(isTotal && to === ranks - 2)) ready.push({ time: arrived, rank: to, piece, isTotal: total });
  }
  return end;
}

const isEarlier = (a: Ready, b: Ready) => a.time < b.time || (a.time === b.time && a.piece < b.piece);
