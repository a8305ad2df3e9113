/**
 * The bits of a payload, see payload.ts, to symbols.
 *
 * Reading is one unaligned 32-bit load a pair of symbols, at an absolute bit position: at least 25 bits are valid, so
 * only two symbols of more than 25 bits together (tableLog 13 and 14) need a second load.
 *
 *     decodePayload(payload, count, tableLog, (length) => new Uint8Array(length), bytesDecoder(table, count))
 */
import { corrupt } from "@bitdiet/stream";
import { stateCount } from "./payload.js";
import type { DecodeTable } from "./tables.js";

/** Symbols between two moves of the reader's origin: 2^20 symbols are below 2^24 bits. */
const STRETCH = 1 << 20;

/** Where a decoder stands in a payload: its states, and the bit it reads next, counted from `view`'s first. */
export interface Reader {
  view: DataView;
  position: number;
  /** The bit after the last one, counted from `view`'s first. */
  end: number;
  states: Int32Array;
}

/** Decodes symbols from .. to - 1 into `out`, stopping early where the bits end. */
export type DecodeStretch<Out> = (reader: Reader, out: Out, from: number, to: number) => void;

/**
 * Runs a decoder over a payload, and checks that it ends exactly. The output grows as symbols come out: a claimed
 * count alone allocates 2^20 symbols or 16 a byte, whichever is more.
 *
 * @param first how many symbols to allocate at once, where that must be otherwise
 * @throws {CorruptInputError} when the payload is not exactly that of `count` symbols
 */
export function decodePayload<Out extends Uint8Array | Uint16Array>(
  payload: Uint8Array,
  count: number,
  tableLog: number,
  allocate: (length: number) => Out,
  decode: DecodeStretch<Out>,
  first = Math.max(STRETCH, 16 * payload.length),
): Out {
  // No symbols have no bytes; else the first byte holds the marker bit.
  if (count === 0 ? payload.length > 0 : !payload[0]) corrupt("payload: start");
  if (count === 0) return allocate(0);
  // Zeros behind the end: no load can leave the buffer, and reading on into them is caught by the end check.
  const padded = new Uint8Array(payload.length + 64);
  padded.set(payload);
  const total = payload.length * 8;
  const states = new Int32Array(4);
  const reader: Reader = { view: new DataView(padded.buffer), position: 0, end: total, states };
  reader.position = 32 - Math.clz32(payload[0] & -payload[0]);
  for (let lane = 0; lane < stateCount(count); lane++) {
    const word = reader.view.getUint32(reader.position >>> 3, true) >>> (reader.position & 7);
    states[lane] = word & ((1 << tableLog) - 1);
    reader.position += tableLog;
  }
  let out = allocate(Math.min(count, first));
  let origin = 0;
  for (let from = 0; from < count && reader.position <= reader.end; ) {
    if (from === out.length) {
      const more = allocate(Math.min(count, 2 * out.length));
      more.set(out);
      out = more;
    }
    const to = Math.min(from + STRETCH, out.length);
    const skip = reader.position >>> 3;
    origin += skip;
    reader.view = new DataView(padded.buffer, origin);
    reader.position -= skip * 8;
    reader.end = total - origin * 8;
    decode(reader, out, from, to);
    from = to;
  }
  if (reader.position !== reader.end || states.some(Boolean)) {
    corrupt("payload: end");
  }
  return out;
}

/** One symbol a step, for the few symbols that the unrolled loops leave over and for streams with one state. */
function decodeSingly(
  reader: Reader,
  table: DecodeTable,
  values: Uint16Array | null,
  out: Uint8Array | Uint16Array,
  from: number,
  to: number,
  lanes: 1 | 4,
): void {
  const { view, states, end } = reader;
  let { position } = reader;
  for (let i = from; i < to && position <= end; i++) {
    const lane = i & (lanes - 1);
    const word = view.getInt32(position >>> 3, true) >>> (position & 7);
    const entry = table[states[lane]];
    states[lane] = ((entry >>> 6) & 0x3fff) + (word & ~(-1 << entry));
    position += entry & 31;
    const index = entry >>> 20;
    out[i] = values === null ? index : values[index];
  }
  reader.position = position;
}

/**
 * Symbols of one byte, each its own index. 8 symbols a round: two bytes a load, four a store.
 * `out` must start at a multiple of 4 symbols.
 */
export function bytesDecoder(table: DecodeTable, count: number): DecodeStretch<Uint8Array> {
  return (reader, out, from, to) => {
    const rounds = stateCount(count) === 4 ? from + ((to - from) & -8) : from;
    decodeBytes(reader, table, new DataView(out.buffer, out.byteOffset, out.byteLength), from, rounds);
    decodeSingly(reader, table, null, out, rounds, to, stateCount(count));
  };
}

function decodeBytes(reader: Reader, table: DecodeTable, out: DataView, from: number, to: number): void {
  const { view, end } = reader;
  let { position } = reader;
  let a = reader.states[0];
  let b = reader.states[1];
  let c = reader.states[2];
  let d = reader.states[3];
  for (let i = from; i < to && position <= end; i = (i + 8) | 0) {
    // The early exits also keep the compiler from hoisting every load to the top, which costs registers.
    let word = view.getInt32(position >>> 3, true) >>> (position & 7);
    let x = table[a];
    let y = table[b];
    let bits = (x + y) & 31;
    a = ((x >>> 6) & 0x3fff) + (word & ~(-1 << x));
    word >>>= x;
    if (bits > 25) word = second(view, position, x);
    b = ((y >>> 6) & 0x3fff) + (word & ~(-1 << y));
    position = (position + bits) | 0;
    let four = (x >>> 20) | ((y >>> 12) & 0xff00);

    word = view.getInt32(position >>> 3, true) >>> (position & 7);
    x = table[c];
    y = table[d];
    bits = (x + y) & 31;
    c = ((x >>> 6) & 0x3fff) + (word & ~(-1 << x));
    word >>>= x;
    if (bits > 25) word = second(view, position, x);
    d = ((y >>> 6) & 0x3fff) + (word & ~(-1 << y));
    position = (position + bits) | 0;
    out.setInt32(i, four | ((x >>> 4) & 0xff0000) | ((y << 4) & 0xff000000), true);
    if (position > end) break;

    word = view.getInt32(position >>> 3, true) >>> (position & 7);
    x = table[a];
    y = table[b];
    bits = (x + y) & 31;
    a = ((x >>> 6) & 0x3fff) + (word & ~(-1 << x));
    word >>>= x;
    if (bits > 25) word = second(view, position, x);
    b = ((y >>> 6) & 0x3fff) + (word & ~(-1 << y));
    position = (position + bits) | 0;
    four = (x >>> 20) | ((y >>> 12) & 0xff00);

    word = view.getInt32(position >>> 3, true) >>> (position & 7);
    x = table[c];
    y = table[d];
    bits = (x + y) & 31;
    c = ((x >>> 6) & 0x3fff) + (word & ~(-1 << x));
    word >>>= x;
    if (bits > 25) word = second(view, position, x);
    d = ((y >>> 6) & 0x3fff) + (word & ~(-1 << y));
    position = (position + bits) | 0;
    out.setInt32((i + 4) | 0, four | ((x >>> 4) & 0xff0000) | ((y << 4) & 0xff000000), true);
  }
  reader.states.set([a, b, c, d]);
  reader.position = position;
}

/** The word at the second symbol of a pair that together has more bits than one load gives; rare. */
function second(view: DataView, position: number, entry: number): number {
  const at = position + (entry & 31);
  return view.getInt32(at >>> 3, true) >>> (at & 7);
}

/** Symbols of two bytes, found by their index in `values`: 16-bit symbols, or pairs of bytes. */
export function wordsDecoder(
  table: DecodeTable,
  values: Uint16Array,
  count: number,
): DecodeStretch<Uint16Array> {
  return (reader, out, from, to) => {
    const rounds = stateCount(count) === 4 ? from + ((to - from) & -4) : from;
    decodeWords(reader, table, values, out, from, rounds);
    decodeSingly(reader, table, values, out, rounds, to, stateCount(count));
  };
}

function decodeWords(
  reader: Reader,
  table: DecodeTable,
  values: Uint16Array,
  out: Uint16Array,
  from: number,
  to: number,
): void {
  const { view, end } = reader;
  let { position } = reader;
  let a = reader.states[0];
  let b = reader.states[1];
  let c = reader.states[2];
  let d = reader.states[3];
  for (let i = from; i < to && position <= end; i = (i + 4) | 0) {
    let word = view.getInt32(position >>> 3, true) >>> (position & 7);
    let x = table[a];
    let y = table[b];
    let bits = (x + y) & 31;
    a = ((x >>> 6) & 0x3fff) + (word & ~(-1 << x));
    word >>>= x;
    if (bits > 25) word = second(view, position, x);
    b = ((y >>> 6) & 0x3fff) + (word & ~(-1 << y));
    position = (position + bits) | 0;
    out[i] = values[x >>> 20];
    out[i + 1] = values[y >>> 20];

    word = view.getInt32(position >>> 3, true) >>> (position & 7);
    x = table[c];
    y = table[d];
    bits = (x + y) & 31;
    c = ((x >>> 6) & 0x3fff) + (word & ~(-1 << x));
    word >>>= x;
    if (bits > 25) word = second(view, position, x);
    d = ((y >>> 6) & 0x3fff) + (word & ~(-1 << y));
    position = (position + bits) | 0;
    out[i + 2] = values[x >>> 20];
    out[i + 3] = values[y >>> 20];
  }
  reader.states.set([a, b, c, d]);
  reader.position = position;
}
