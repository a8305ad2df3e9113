/**
 * Self-describing streams, written: symbols to bytes that `decompress` needs nothing else for. FORMAT.md has them bit
 * by bit: "H", version, count, table, checksum, codes.
 *
 *     compress(new Uint8Array(1000))   // 10 bytes, a checksum of 4 among them
 */
import { xxHash32 } from "@bitdiet/xxhash32";
import { codedBits, codeLengths, flatLengths } from "./code-lengths.js";
import { buildEncodeTable, encodePair, pairCapacity } from "./encode.js";
import { checkSymbols, countSymbols, type Symbols } from "./histogram.js";
import { tableBytes, writeBits, writeGamma, writeTable } from "./table.js";
import { type Cutting, cut, cutHalves, LARGEST_COUNT, wordCount } from "./words.js";

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
  /** Words of each of the two streams, and the size of their codes in bits. */
  streams: Symbols[];
  bits: number[];
}

/**
 * Symbols as bytes, with a checksum. Single symbols, groups of symbols or zero runs get the codes, whichever a trial on
 * the symbols (of more than 65,536, on a part of them) finds smallest.
 *
 * @param symbols up to 2^28 of them
 */
export function compress(symbols: Symbols, options: CompressOptions = {}): Uint8Array {
  const { header, lengths, streams, bits } = planOf(symbols, options);
  const start = header.length + 4;
  const total = bits[0] + bits[1];
  const bytes = new Uint8Array(start + pairCapacity(total));
  bytes.set(header);
  new DataView(bytes.buffer).setUint32(header.length, checksum(symbols, bytes.subarray(0, header.length)));
  if (total === 0) return bytes.subarray(0, start);
  const { packed, pairs } = buildEncodeTable(lengths, symbols.length);
  return bytes.subarray(0, encodePair(streams[0], streams[1], packed, pairs, total, bytes, start));
}

/** The size in bits of what `compress` returns for the same arguments, exactly, without writing it. */
export function estimateCompressedBits(symbols: Symbols, options: CompressOptions = {}): number {
  const { header, bits } = planOf(symbols, options);
  return 8 * bits.reduce((sum, streamBits) => sum + Math.ceil(streamBits / 8), header.length + 4);
}

/** xxHash32 of the symbols (those of 16 bits little-endian), seeded with that of the header: it guards both. */
export function checksum(symbols: Symbols, header: Uint8Array): number {
  return xxHash32(new Uint8Array(symbols.buffer, symbols.byteOffset, symbols.byteLength), xxHash32(header));
}

function planOf(symbols: Symbols, { singleSymbols = false }: CompressOptions): Plan {
  checkSymbols(symbols);
  const count = symbols.length;
  if (count > LARGEST_COUNT) throw new RangeError(`symbols: expected at most ${LARGEST_COUNT}, got ${count}`);
  const headerOf = (cutting: Cutting, lengths: Uint8Array): number[] => {
    const writer = { bytes: [], position: 0 };
    writeBits(writer, (MAGIC << 1) | (symbols instanceof Uint16Array ? 1 : 0), 16);
    writeGamma(writer, count + 1);
    writeTable(writer, cutting, lengths);
    return writer.bytes;
  };

  let streams = cutHalves(symbols, { alphabetSize: 1, groupSize: 1, runLimit: 0 });
  let streamCounts = streams.map((half) => countSymbols(half));
  const counts = sumCounts(streamCounts);
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

  const other = singleSymbols ? undefined : trial(symbols, counts, total);
  if (other) {
    const words = cutHalves(symbols, other);
    const perStream = words.map((half) => countSymbols(half, wordCount(other)));
    const wordCounts = sumCounts(perStream);
    const wordLengths = lengthsFor(wordCounts);
    const wordBits = codedBits(wordCounts, wordLengths);
    const wordHeader = headerOf(other, wordLengths);
    // A lone word costs no bits, and has no table here.
    if (wordBits > 0 && wordBits + 8 * wordHeader.length < total + 8 * header.length) {
      streams = words;
      streamCounts = perStream;
      lengths = wordLengths;
      header = wordHeader;
    }
  }
  return { header, lengths, streams, bits: streamCounts.map((half) => codedBits(half, lengths)) };
}

function sumCounts(parts: Uint32Array[]): Uint32Array {
  const sum = new Uint32Array(Math.max(...parts.map((part) => part.length)));
  for (const part of parts) for (let s = 0; s < part.length; s++) sum[s] += part[s];
  return sum;
}

/** The decoder's tables are of 12 bits: up to some size of alphabet, longer codes would cost more time than they save. */
function lengthsFor(counts: Uint32Array): Uint8Array {
  let used = 0;
  for (let w = 0; w < counts.length; w++) if (counts[w] > 0) used++;
  return codeLengths(counts, used <= 1024 ? 12 : undefined);
}

/** Symbols that a trial looks at, in blocks spread over the whole. */
const TRIAL = 65536;
const TRIAL_BLOCK = 2048;
/** Below this, a single cutting is tried: trials would take longer than all else. */
const FEWEST_FOR_MANY = 16384;

/** A way to cut that may be smaller than single symbols of `total` bits, or undefined. All in whole numbers. */
function trial(symbols: Symbols, counts: Uint32Array, total: number): Cutting | undefined {
  const count = symbols.length;
  const candidates = candidateCuttings(counts, count, total);
  if (candidates.length < 2) return candidates[0]; // `planOf` compares its whole size
  let sample = symbols;
  if (count > TRIAL) {
    sample = symbols.slice(0, TRIAL);
    const blocks = TRIAL / TRIAL_BLOCK;
    for (let k = 0; k < blocks; k++) {
      const from = Math.floor((k * (count - TRIAL_BLOCK)) / (blocks - 1));
      sample.set(symbols.subarray(from, from + TRIAL_BLOCK), k * TRIAL_BLOCK);
    }
  }
  let best: Cutting | undefined;
  let least = Math.floor((total * sample.length) / 64) * 63; // less than a 64th is not worth the slower coding
  for (const cutting of candidates) {
    const wordCounts = countSymbols(cut(sample, cutting), wordCount(cutting));
    const lengths = lengthsFor(wordCounts);
    // The sample's codes stand for all symbols', the table for itself; both times sample.length, to stay whole.
    const size = codedBits(wordCounts, lengths) * count + 8 * tableBytes(cutting, lengths) * sample.length;
    if (size < least) {
      best = cutting;
      least = size;
    }
  }
  return best;
}

/** Cuttings worth a trial: their words must be few beside the symbols, and single symbols must leave something to gain. */
function candidateCuttings(counts: Uint32Array, count: number, total: number): Cutting[] {
  const alphabetSize = counts.length;
  const many = count >= FEWEST_FOR_MANY;
  if (count < 256 || total > (many ? 5 : 2) * count) return [];
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
    for (let groupSize = 8, tried = 0; groupSize > 1 && tried < (many ? 2 : 1); groupSize--) {
      const cutting = { alphabetSize, groupSize, runLimit: 0 };
      if (!fits(cutting)) continue;
      candidates.push(cutting);
      tried++;
    }
  }
  return candidates;
}
