/**
 * Which matches an encoder takes: the cheapest way through the bytes, by prices that the way before had.
 *
 *     parsed(new TextEncoder().encode("abcabcabc"))   // [{ start: 3, length: 6, place: 5 }]: from three bytes before
 */
import { classOf, extraBits, MIN_MATCH } from "./lz-classes.js";

/** Bytes from `start` on are those of an earlier place, as lz.ts numbers it. */
export interface Match {
  start: number;
  length: number;
  place: number;
}

/** Bits of each literal, and of each class of run, length and place. */
interface Prices {
  literals: Float64Array;
  lengths: Float64Array;
  places: Float64Array;
}

/** Earlier places that are looked at, the nearest first: those with three bytes in common, and those with six. */
const CHAINS = [
  { bytes: 3, depth: 16 },
  { bytes: 6, depth: 24 },
];
/** Matches of this length are taken as they are; of those above MIDDLE only the whole is looked at, and its starts up to there. */
const LONG = 128;
const MIDDLE = 24;
/** Bytes that are walked through at once: what is noted at each takes 36 bytes. */
const BLOCK = 2 ** 17;
const HASH_BITS = 16;
const KINDS = 72;

export function parsed(bytes: Uint8Array): Match[] {
  const guess: Prices = {
    literals: new Float64Array(256).fill(6),
    lengths: Float64Array.from({ length: KINDS }, (_, kind) => 3 + kind / 8 + extraBits(kind)),
    places: Float64Array.from({ length: KINDS }, (_, kind) => (kind < 3 ? 3 : 5) + extraBits(kind)),
  };
  const first = cheapestWay(bytes, guess);
  return cheapestWay(bytes, pricesOf(bytes, first));
}

/** What each thing costs by how often it was there; a run is priced with the place. */
function pricesOf(bytes: Uint8Array, matches: readonly Match[]): Prices {
  const [literals, lengths, places] = [256, KINDS, KINDS].map((size) => new Float64Array(size).fill(0.1));
  let at = 0;
  for (const { start, length, place } of matches) {
    for (; at < start; at++) literals[bytes[at]]++;
    lengths[classOf(length - MIN_MATCH)]++;
    places[classOf(place)]++;
    at = start + length;
  }
  for (; at < bytes.length; at++) literals[bytes[at]]++;
  const bits = (counts: Float64Array, more: (kind: number) => number) => {
    const sum = counts.reduce((a, b) => a + b);
    return counts.map((count, kind) => Math.min(15, Math.log2(sum / count)) + more(kind));
  };
  return {
    literals: bits(literals, () => 0),
    lengths: bits(lengths, extraBits),
    places: bits(places, (kind) => 2 + extraBits(kind)),
  };
}

function cheapestWay(bytes: Uint8Array, prices: Prices): Match[] {
  const matches: Match[] = [];
  const chains = CHAINS.map((chain) => chainOf(bytes, chain));
  let reps = [1, 1, 1];
  for (let start = 0; start < bytes.length; start += BLOCK)
    reps = walkBlock(bytes, start, Math.min(bytes.length, start + BLOCK), reps, prices, chains, matches);
  return matches;
}

interface Chain {
  insert(at: number): void;
  /** Earlier places that seem to start with the same bytes, the nearest first. */
  candidates(at: number): Iterable<number>;
}

function chainOf(bytes: Uint8Array, { bytes: width, depth }: { bytes: number; depth: number }): Chain {
  const heads = new Int32Array(1 << HASH_BITS).fill(-1);
  const before = new Int32Array(bytes.length);
  const found = new Int32Array(depth);
  const last = bytes.length - width;
  const hashAt = (at: number): number => {
    let hash = 0;
    for (let i = at; i < at + width; i++) hash = Math.imul(hash ^ bytes[i], 0x2c1b3c6d) ^ (hash >>> 15);
    return Math.imul(hash, 0x9e3779b1) >>> (32 - HASH_BITS);
  };
  return {
    insert(at) {
      if (at > last) return;
      const hash = hashAt(at);
      before[at] = heads[hash];
      heads[hash] = at;
    },
    candidates(at) {
      let count = 0;
      if (at <= last)
        for (let place = heads[hashAt(at)]; place >= 0 && count < depth; place = before[place])
          found[count++] = place;
      return found.subarray(0, count);
    },
  };
}

/** Appends the matches of one block. @returns the distances used last */
function walkBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  reps: readonly number[],
  { literals, lengths, places }: Prices,
  chains: readonly Chain[],
  matches: Match[],
): number[] {
  const size = end - start;
  const costs = new Float64Array(size + 1).fill(Infinity);
  /** How one got here: by a match of this length (1: a literal) from this place, and with which distances behind one. */
  const taken = new Int32Array(size + 1);
  const from = new Int32Array(size + 1);
  const distances = new Int32Array(3 * (size + 1));
  costs[0] = 0;
  distances.set(reps);
  const lengthAt = (at: number, distance: number): number => {
    let length = 0;
    while (at + length < end && bytes[at + length] === bytes[at + length - distance]) length++;
    return length;
  };
  const reach = (i: number, length: number, place: number, distance: number): void => {
    const cost = costs[i] + lengths[classOf(length - MIN_MATCH)] + places[classOf(place)];
    const target = i + length;
    if (cost >= costs[target]) return;
    costs[target] = cost;
    taken[target] = length;
    from[target] = place;
    const [a, b, c] = [distances[3 * i], distances[3 * i + 1], distances[3 * i + 2]];
    distances[3 * target] = distance;
    distances[3 * target + 1] = place === 0 ? b : a;
    distances[3 * target + 2] = place > 1 ? b : c;
  };
  /** All lengths from `least` on that are worth a look. */
  const reachAll = (i: number, least: number, length: number, place: number, distance: number): void => {
    for (let part = Math.min(length, MIDDLE); part >= least; part--) reach(i, part, place, distance);
    if (length > MIDDLE) reach(i, length, place, distance);
  };

  for (let i = 0; i < size; i++) {
    const at = start + i;
    const cost = costs[i] + literals[bytes[at]];
    if (cost < costs[i + 1]) {
      costs[i + 1] = cost;
      taken[i + 1] = 1;
      distances.copyWithin(3 * (i + 1), 3 * i, 3 * i + 3);
    }
    let longest = MIN_MATCH - 1;
    for (let place = 0; place < 3; place++) {
      const distance = distances[3 * i + place];
      if (distance > at) continue;
      const length = lengthAt(at, distance);
      reachAll(i, MIN_MATCH, length, place, distance);
      longest = Math.max(longest, length);
    }
    for (const chain of longest < LONG ? chains : []) {
      for (const candidate of chain.candidates(at)) {
        if (at + longest >= end || bytes[candidate + longest] !== bytes[at + longest]) continue;
        const length = lengthAt(at, at - candidate);
        if (length > longest) reachAll(i, longest + 1, length, at - candidate + 2, at - candidate);
        longest = Math.max(longest, length);
      }
    }
    for (const chain of chains) chain.insert(at);
    if (longest < LONG) continue;
    // Nothing within a long match is worth a look.
    for (let k = 1; k < longest; k++) {
      for (const chain of chains) chain.insert(at + k);
      costs[i + k] = Infinity;
    }
    i += longest - 1;
  }

  const way: Match[] = [];
  for (let at = size; at > 0; at -= taken[at]) {
    if (taken[at] > 1) way.push({ start: start + at - taken[at], length: taken[at], place: from[at] });
  }
  matches.push(...way.reverse());
  return [...distances.subarray(3 * size)];
}
