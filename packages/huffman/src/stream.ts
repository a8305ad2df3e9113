/**
 * Self-describing streams, written: symbols to bytes that `decompress` needs nothing else for. FORMAT.md has them bit
 * by bit: "H", version, count, table, checksum, codes.
 *
 *     compress(new Uint8Array(1000))   // 10 bytes, a checksum of 4 among them
 */
import { xxHash32 } from "@bitdiet/stream";
import { codedBits, codeLengths, flatLengths } from "./code-lengths.js";
import { buildEncodeTable, buildGroupTable, encodePair, pairCapacity } from "./encode.js";
import { checkSymbols, countPairs, countSymbols, PAIRWISE, type Symbols, singlesOf } from "./histogram.js";
import { tableBytes, writeBits, writeGamma, writeTable } from "./table.js";
import { type Cutting, cut, cutHalves, MAX_COUNT, wordCount } from "./words.js";

/** The first 15 bits: "H", and version 1 in seven. The 16th is whether symbols are of 16 bits. */
export const MAGIC = (0x48 << 7) | 1;

export interface CompressOptions {
  /** Give codes to single symbols only: faster to write, larger below about 1.5 bits a symbol. Default false. */
  singleSymbols?: boolean;
}

/** Everything about a stream but its codes' bits. */
interface Plan {
  /** All of the header but the checksum. */
  header: number[];
  lengths: Uint8Array;
  cutting: Cutting;
  /** Each of the two streams, cut into words or, for groups of two, still symbols; and the size of its codes in bits. */
  streams: Symbols[];
  bits: number[];
}

/**
 * Symbols as bytes, with a checksum. Single symbols get the codes, or groups of symbols or zero runs where a trial on
 * the symbols (of more than 16,384, on a part of them) finds these so much smaller that they are worth their time.
 *
 * @param symbols up to 2^28 of them
 */
export function compress(symbols: Symbols, options: CompressOptions = {}): Uint8Array {
  const plan = planOf(symbols, options);
  const { header, bits } = plan;
  const start = header.length + 4;
  const total = bits[0] + bits[1];
  const bytes = new Uint8Array(start + pairCapacity(total));
  bytes.set(header);
  const whole = bytes.subarray(0, total === 0 ? start : writeStreams(symbols, plan, bytes, start));
  const view = new DataView(bytes.buffer);
  view.setUint32(header.length, checksum(whole.subarray(0, header.length), whole.subarray(start)), true);
  return whole;
}

/** @returns where the streams end in `bytes`, in which they start at `start` */
function writeStreams(
  symbols: Symbols,
  { lengths, cutting, streams, bits }: Plan,
  bytes: Uint8Array,
  start: number,
): number {
  const uncut = streams[0].length + streams[1].length === symbols.length && cutting.groupSize === 2;
  const table = uncut
    ? buildGroupTable(lengths, cutting.alphabetSize)
    : buildEncodeTable(lengths, symbols.length);
  const rest = (left: Symbols) => (uncut ? cut(left, cutting) : left);
  return encodePair(streams[0], streams[1], table, rest, bits[0] + bits[1], bytes, start);
}

/** Size in bits of what `compress` returns for the same arguments, exactly, without writing it. */
export function compressedBits(symbols: Symbols, options: CompressOptions = {}): number {
  const { header, bits } = planOf(symbols, options);
  return 8 * bits.reduce((sum, streamBits) => sum + Math.ceil(streamBits / 8), header.length + 4);
}

/** xxHash32 of the streams, which are fewer bytes than symbols, seeded with that of the header: it guards both. */
export const checksum = (header: Uint8Array, streams: Uint8Array): number =>
  xxHash32(streams, xxHash32(header));

function planOf(symbols: Symbols, { singleSymbols = false }: CompressOptions): Plan {
  checkSymbols(symbols);
  const count = symbols.length;
  if (count > MAX_COUNT) throw new RangeError(`symbols: expected at most ${MAX_COUNT}, got ${count}`);
  const headerOf = (cutting: Cutting, lengths: Uint8Array): number[] => {
    const writer = { bytes: [], position: 0 };
    writeBits(writer, (MAGIC << 1) | (symbols instanceof Uint16Array ? 1 : 0), 16);
    writeGamma(writer, count + 1);
    writeTable(writer, cutting, lengths);
    return writer.bytes;
  };

  const halves = cutHalves(symbols, { alphabetSize: 1, groupSize: 1, runLimit: 0 });
  let streams = halves;
  // Large halves are counted by pairs, which is what groups of two need, too.
  const pairCounts = halves.map((half) =>
    half instanceof Uint8Array && half.length >= PAIRWISE ? countPairs(half) : undefined,
  );
  let streamCounts = halves.map((half, k) => {
    const pairs = pairCounts[k];
    return pairs ? singlesOf(pairs, half.length) : countSymbols(half);
  });
  const counts = used(sumCounts(streamCounts));
  const single = { alphabetSize: counts.length, groupSize: 1, runLimit: 0 };
  let lengths = count > 0 ? lengthsFor(counts) : Uint8Array.of(1);
  let header = headerOf(single, lengths);
  let total = codedBits(counts, lengths);
  // Equal lengths have the shortest table: for a few symbols of any distribution, and for many of a uniform one.
  const flat = counts.length > 1 ? flatLengths(counts.length) : lengths;
  const flatHeader = headerOf(single, flat);
  if (codedBits(counts, flat) + 8 * flatHeader.length <= total + 8 * header.length) {
    lengths = flat;
    total = codedBits(counts, flat);
    header = flatHeader;
  }

  let cutting: Cutting = single;
  const other = singleSymbols ? undefined : trial(symbols, counts, total);
  if (other) {
    const [pairsA, pairsB] = pairCounts;
    const uncut = other.groupSize === 2 && pairsA && pairsB;
    const words = uncut ? halves : cutHalves(symbols, other);
    const perStream = uncut
      ? [groupCounts(pairsA, other.alphabetSize), groupCounts(pairsB, other.alphabetSize)]
      : words.map((half) => countSymbols(half, wordCount(other)));
    const wordCounts = sumCounts(perStream);
    const wordLengths = lengthsFor(wordCounts);
    const wordBits = codedBits(wordCounts, wordLengths);
    const wordHeader = headerOf(other, wordLengths);
    // A lone word costs no bits, and has no table here.
    if (wordBits > 0 && wordBits + 8 * wordHeader.length < total + 8 * header.length) {
      cutting = other;
      streams = words;
      streamCounts = perStream;
      lengths = wordLengths;
      header = wordHeader;
    }
  }
  return { header, lengths, cutting, streams, bits: streamCounts.map((half) => codedBits(half, lengths)) };
}

/** Counts of groups of two from those of `countPairs`. */
function groupCounts(pairCounts: Uint32Array, alphabetSize: number): Uint32Array {
  return Uint32Array.from(
    { length: alphabetSize ** 2 },
    (_, word) => pairCounts[(word % alphabetSize) | (Math.floor(word / alphabetSize) << 8)],
  );
}

function sumCounts(parts: Uint32Array[]): Uint32Array {
  const sum = new Uint32Array(Math.max(...parts.map((part) => part.length)));
  for (const part of parts) for (let s = 0; s < part.length; s++) sum[s] += part[s];
  return sum;
}

/** Counts up to the last that is not 0. */
function used(counts: Uint32Array): Uint32Array {
  let end = counts.length;
  while (end > 1 && counts[end - 1] === 0) end--;
  return counts.subarray(0, end);
}

/** The decoder's tables are of 12 bits: up to some size of alphabet, longer codes would cost more time than they save. */
function lengthsFor(counts: Uint32Array): Uint8Array {
  let used = 0;
  for (let w = 0; w < counts.length; w++) if (counts[w] > 0) used++;
  return codeLengths(counts, used <= 1024 ? 12 : undefined);
}

/** Blocks of symbols that a trial looks at, spread over the whole: an eighth of the symbols, within these numbers. */
const MIN_BLOCKS = 8;
const MAX_BLOCKS = 32;
const TRIAL_BLOCK = 2048;
/** Groups of two are coded as fast as single symbols, other words more slowly: 3 % of handicap. Products stay below 2^53. */
const QUICK = 64;
const SLOW = 66;
/** Below this, a single cutting is tried: trials would take longer than all else. */
const MIN_FOR_MANY = 16384;

/** A way to cut that may be smaller than single symbols of `total` bits, or undefined. All in whole numbers. */
function trial(symbols: Symbols, counts: Uint32Array, total: number): Cutting | undefined {
  const count = symbols.length;
  const candidates = candidateCuttings(counts, count, total);
  if (candidates.length < 2) return candidates[0]; // `planOf` compares its whole size
  let sample = symbols;
  const blocks = Math.min(MAX_BLOCKS, Math.max(MIN_BLOCKS, count >>> 14));
  if (count > blocks * TRIAL_BLOCK) {
    sample = symbols.slice(0, blocks * TRIAL_BLOCK);
    for (let k = 0; k < blocks; k++) {
      const from = Math.floor((k * (count - TRIAL_BLOCK)) / (blocks - 1));
      sample.set(symbols.subarray(from, from + TRIAL_BLOCK), k * TRIAL_BLOCK);
    }
  }
  let best: Cutting | undefined;
  let least = QUICK * total * sample.length;
  for (const cutting of candidates) {
    const wordCounts = countSymbols(cut(sample, cutting), wordCount(cutting));
    const lengths = lengthsFor(wordCounts);
    // The sample's codes stand for all symbols', the table for itself; both times sample.length, to stay whole.
    const size = codedBits(wordCounts, lengths) * count + 8 * tableBytes(cutting, lengths) * sample.length;
    const handicap = cutting.groupSize === 2 ? QUICK : SLOW;
    if (handicap * size < least) {
      best = cutting;
      least = handicap * size;
    }
  }
  return best;
}

/** Cuttings worth a trial: their words must be few beside the symbols, and single symbols must leave something to gain. */
function candidateCuttings(counts: Uint32Array, count: number, total: number): Cutting[] {
  const alphabetSize = counts.length;
  const many = count >= MIN_FOR_MANY;
  if (count < 256 || total > (many ? 3 : 2) * count) return [];
  const candidates: Cutting[] = [];
  const fits = (cutting: Cutting) => wordCount(cutting) <= Math.min(1024, count / 4);
  // Runs: a word takes some three times the mean run of zeros.
  if (3 * counts[0] > count) {
    let runLimit = 4;
    while (runLimit < 128 && runLimit * (count - counts[0]) < 3 * count) runLimit *= 2;
    for (const limit of many ? [runLimit, runLimit / 2, runLimit * 2] : [runLimit]) {
      const cutting = { alphabetSize, groupSize: 1, runLimit: limit };
      if (fits(cutting)) candidates.push(cutting);
    }
  }
  if (many || candidates.length === 0) {
    const pairs = { alphabetSize, groupSize: 2, runLimit: 0 };
    let groupSize = 8;
    while (groupSize > 2 && !fits({ ...pairs, groupSize })) groupSize--;
    if (groupSize > 2) candidates.push({ ...pairs, groupSize });
    if (fits(pairs) && (many || groupSize === 2)) candidates.push(pairs);
  }
  return candidates;
}
