/**
 * Compression to self-describing streams.
 *
 *     compress(Uint8Array.of(7, 7, 7, 7, 7))  // 8 bytes, see stream.ts
 *
 * The size of each kind of stream follows from histograms alone; the smallest is written.
 */
import { describe } from "@bitdiet/stream";
import { checkMaps, type MapShape, neighbourContexts } from "./contexts.js";
import { type Sparse, sparse } from "./frequency-table.js";
import { countBytes } from "./histogram.js";
import { MAX_ALPHABET } from "./normalize.js";
import { encodePayload, payloadBits } from "./payload-encode.js";
import { type Plan, planPlain } from "./plan.js";
import { planMaps } from "./plan-maps.js";
import { worthwhilePairs } from "./plan-pairs.js";
import { planStatic } from "./plan-static.js";
import { bytesOf, CONSTANT, checksum, STORED, type Symbols } from "./stream.js";

/** Pairs of up to 32 different symbols may be shorter, in inputs that their table is short beside. */
const MIN_PAIRED = 1 << 15;
const MAX_PAIRED = 32;
/** Header, checksum and payload. */
function write(symbols: Symbols, { header, payload }: Plan): Uint8Array {
  const fields = Uint8Array.from(header().bytes);
  const start = new Uint8Array(fields.length + 4);
  start.set(fields);
  new DataView(start.buffer).setUint32(fields.length, checksum(fields, symbols), true);
  const coded = payload();
  if (!(coded instanceof Uint8Array)) {
    return encodePayload(coded.count, coded.tableLog, coded.tables, coded.source, start);
  }
  const bytes = new Uint8Array(start.length + coded.length);
  bytes.set(start);
  bytes.set(coded, start.length);
  return bytes;
}

function countSymbols(symbols: Symbols): Sparse {
  if (symbols instanceof Uint8Array) return sparse(countBytes(symbols));
  const counts = new Uint32Array(65536);
  for (let i = 0; i < symbols.length; i++) counts[symbols[i]]++;
  return sparse(counts);
}

function checkSymbols(symbols: unknown): asserts symbols is Symbols {
  if (!(symbols instanceof Uint8Array || symbols instanceof Uint16Array)) {
    throw new TypeError(`symbols: expected a Uint8Array or a Uint16Array, got ${describe(symbols)}`);
  }
}

function plan(symbols: Symbols, shape?: MapShape): Plan {
  checkSymbols(symbols);
  if (shape !== undefined) {
    neighbourContexts(shape);
    checkMaps(symbols.length, shape);
  }
  const histogram = countSymbols(symbols);
  const present = histogram.symbols.length;
  if (present === 1) return planPlain(symbols, CONSTANT, bytesOf(symbols.slice(0, 1)));
  let best = planPlain(symbols, STORED, bytesOf(symbols));
  if (present === 0 || present > MAX_ALPHABET) return best;
  const single = planStatic(symbols, histogram);
  const coded: Plan[] = [single];
  if (symbols instanceof Uint8Array && symbols.length >= MIN_PAIRED && present <= MAX_PAIRED) {
    coded[0] = worthwhilePairs(symbols, histogram.symbols, single.bits) ?? single;
  }
  if (shape !== undefined) coded.push(planMaps(symbols, shape, histogram));
  for (const candidate of coded) if (candidate.bits < best.bits) best = candidate;
  return best;
}

/**
 * Compresses symbols with a static code of single symbols, or of pairs where these are shorter by 1 % or more; symbols that
 * no code shortens are stored.
 *
 * @param symbols bytes or 16-bit words; at most 4,096 different ones are coded, more are stored
 * @returns a stream for decompress
 * @throws {TypeError}
 */
export function compress(symbols: Symbols): Uint8Array {
  return write(symbols, plan(symbols));
}

/**
 * As compress, with contexts from the neighbours left, above and in the channel before; tables and thresholds are
 * learned from the symbols and stored. Where contexts do not pay, the stream is that of compress.
 *
 * @param symbols one or more maps of height x width x channels, one behind the other
 * @returns a stream for decompressMap
 * @throws {TypeError}, or RangeError when the symbols are not whole maps
 */
export function compressMap(symbols: Symbols, shape: MapShape): Uint8Array {
  return write(symbols, plan(symbols, shape));
}

/**
 * Size in bits of compress(symbols), or with a shape of compressMap(symbols, shape), exactly, without writing it: the kind
 * and its tables are chosen from histograms, and the states walk over the symbols.
 */
export function compressedBits(symbols: Symbols, shape?: MapShape): number {
  const { header, payload } = plan(symbols, shape);
  const coded = payload();
  const rest =
    coded instanceof Uint8Array
      ? 8 * coded.length
      : payloadBits(coded.count, coded.tableLog, coded.tables, coded.source);
  return 8 * (header().bytes.length + 4) + rest;
}
