/**
 * Self-describing streams, written: symbols to bytes that `decompress` needs nothing else for. FORMAT.md has them byte
 * by byte: "H", kind, count, what the kind needs (a symbol, an alphabet's size, or a table), checksum, codes.
 *
 *     compress(new Uint8Array(1000))   // 9 bytes: 48 10 e8 07 00 and a checksum of 4
 */
import { xxHash32 } from "@bitdiet/xxhash32";
import { codedBits, codeLengths, flatLengths } from "./code-lengths.js";
import { buildEncodeTable, encodePair, pairCapacity } from "./encode.js";
import { checkSymbols, countSymbols, type Symbols } from "./histogram.js";
import { LARGEST_COUNT, segmentEnd } from "./huffman-code.js";
import { writeTable, writeVarint } from "./table.js";
import { type Cutting, cut, isCutting, wordCount } from "./words.js";

/** The first byte: "H". */
export const MAGIC = 0x48;
/** The second byte: version 1 in the high nibble, and one of three kinds with flags in the low one. */
export const VERSION = 0x10;
/** One symbol again and again, or none at all. */
export const CONSTANT = 0;
/** A code of equal lengths, as nearly as the alphabet allows: bit-packing. */
export const FLAT = 1;
export const TABLE = 2;
/** Flag: symbols are of 16 bits. */
export const SHORTS = 4;
/** Flag: four streams instead of two. */
export const TWO_PAIRS = 8;

/** Four streams are decoded faster than two from about this many bits a symbol on: 17 / 4 .. */
const FOURTHS_OF_A_BIT_FOR_TWO_PAIRS = 17;
/** .. and this many symbols. */
export const FEWEST_FOR_TWO_PAIRS = 1 << 15;

export interface CompressOptions {
  /** Give codes to single symbols only: faster to write, larger below about 1.5 bits a symbol. Default false. */
  singleSymbols?: boolean;
}

/** Everything about a stream but its codes' bits. */
interface Plan {
  /** All of the header but the checksum. */
  header: number[];
  lengths: Uint8Array;
  /** Words of each stream: none, two, or four, and the size of their codes in bits. */
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
  const bytes = new Uint8Array(bits.reduce((sum, streamBits) => sum + pairCapacity(streamBits), start));
  bytes.set(header);
  new DataView(bytes.buffer).setUint32(
    header.length,
    checksum(symbols, bytes.subarray(0, header.length)),
    true,
  );
  const table = buildEncodeTable(lengths, symbols.length);
  let end = start;
  for (let k = 0; k < streams.length; k += 2) {
    end = encodePair(streams[k], streams[k + 1], table, bits[k] + bits[k + 1], bytes, end);
  }
  return bytes.subarray(0, end);
}

/** The number of bytes that `compress` returns for the same arguments, exactly, without writing them. */
export function compressedBytes(symbols: Symbols, options: CompressOptions = {}): number {
  const { header, bits } = planOf(symbols, options);
  return bits.reduce((sum, streamBits) => sum + Math.ceil(streamBits / 8), header.length + 4);
}

/** xxHash32 of the symbols (those of 16 bits little-endian), seeded with that of the header: it guards both. */
export function checksum(symbols: Symbols, header: Uint8Array): number {
  return xxHash32(new Uint8Array(symbols.buffer, symbols.byteOffset, symbols.byteLength), xxHash32(header));
}

function planOf(symbols: Symbols, { singleSymbols = false }: CompressOptions): Plan {
  checkSymbols(symbols);
  const count = symbols.length;
  if (count > LARGEST_COUNT) throw new RangeError(`symbols: expected at most ${LARGEST_COUNT}, got ${count}`);
  const shorts = symbols instanceof Uint16Array ? SHORTS : 0;
  const header = (kind: number): number[] => {
    const bytes = [MAGIC, VERSION | kind | shorts];
    writeVarint(bytes, count);
    return bytes;
  };

  const quarters = segments(symbols, count < FEWEST_FOR_TWO_PAIRS || shorts ? 2 : 4);
  const quarterCounts = quarters.map((quarter) => countSymbols(quarter));
  const counts = sumCounts(quarterCounts);
  const alphabetSize = counts.length;
  if (count === 0 || counts[symbols[0]] === count) {
    const bytes = header(CONSTANT);
    if (count > 0) bytes.push(symbols[0] & 255);
    if (count > 0 && shorts) bytes.push(symbols[0] >> 8);
    return { header: bytes, lengths: new Uint8Array(1), streams: [], bits: [] };
  }

  const single = { alphabetSize, groupSize: 1, runLimit: 0 };
  let lengths = lengthsFor(counts);
  let bytes = header(TABLE).concat(writeTable(single, lengths));
  let total = codedBits(counts, lengths);
  const flat = flatLengths(alphabetSize);
  const flatBits = codedBits(counts, flat);
  if (flatBits + 8 * 3 <= total + 8 * (bytes.length - 2)) {
    lengths = flat;
    total = flatBits;
    bytes = header(FLAT);
    writeVarint(bytes, alphabetSize);
  }

  const other = singleSymbols ? undefined : trial(symbols, counts, total);
  if (other) {
    const streams = segments(symbols, 2).map((segment) => cut(segment, other));
    const streamCounts = streams.map((words) => countSymbols(words, wordCount(other)));
    const wordCounts = sumCounts(streamCounts);
    const wordLengths = lengthsFor(wordCounts);
    const wordBits = codedBits(wordCounts, wordLengths);
    const wordHeader = header(TABLE).concat(writeTable(other, wordLengths));
    const several = wordBits > 0; // a lone word has no table here
    if (several && wordBits + 8 * wordHeader.length < total + 8 * bytes.length) {
      const bits = streamCounts.map((streamCount) => codedBits(streamCount, wordLengths));
      return { header: wordHeader, lengths: wordLengths, streams, bits };
    }
  }

  let streams = quarters;
  let bits = quarterCounts.map((quarterCount) => codedBits(quarterCount, lengths));
  if (streams.length === 4) {
    if (4 * total >= FOURTHS_OF_A_BIT_FOR_TWO_PAIRS * count) {
      bytes[1] |= TWO_PAIRS;
      writeVarint(bytes, Math.ceil(bits[0] / 8) + Math.ceil(bits[1] / 8));
    } else {
      streams = segments(symbols, 2);
      bits = [bits[0] + bits[1], bits[2] + bits[3]];
    }
  }
  return { header: bytes, lengths, streams, bits };
}

/** A stream's symbols each: the halves, or the quarters. */
function segments(symbols: Symbols, streams: 2 | 4): Symbols[] {
  const middle = segmentEnd(symbols.length);
  if (streams === 2) return [symbols.subarray(0, middle), symbols.subarray(middle)];
  const quarter = middle / 2;
  return [0, 1, 2, 3].map((k) => symbols.subarray(k * quarter, (k + 1) * quarter));
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
  if (candidates.length === 0) return undefined;
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
    const size =
      codedBits(wordCounts, lengths) * count + 8 * writeTable(cutting, lengths).length * sample.length;
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
  const fits = (cutting: Cutting) => isCutting(cutting) && wordCount(cutting) <= Math.min(4096, count / 4);
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
