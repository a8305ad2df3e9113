/**
 * The bits of a tANS code: one bit stream, least significant bit first, that 1 or 4 interleaved states share.
 *
 *     [0 .. 7 zero bits] [1] [state 0] .. [state N-1] [bits of symbol 0] [bits of symbol 1] ...
 *
 * N is 1 below 512 symbols and 4 from there on, of weights always 4; symbol i belongs to state i mod N; a state takes tableLog bits. The
 * encoder walks from the last symbol to the first and puts bits in front, so the decoder reads forwards; the zeros
 * and the one in front bring the whole to full bytes. Every state starts at 0 in the encoder, so a decoder that does
 * not end at the last bit with all states 0 has read corrupt bytes. No symbols: no bytes.
 *
 * Reading is one unaligned 32-bit load a pair of symbols, at an absolute bit position: at least 25 bits are valid, so
 * only two symbols of more than 25 bits together (tableLog 13 and 14) need a second load.
 */
import { corrupt } from "@bitdiet/stream";
import type { DecodeTable, EncodeTables } from "./tables.js";

/** Symbols whose slots are worked out at once; a multiple of 4. */
const BLOCK = 1 << 13;
/** Symbols between two moves of the reader's origin: 2^20 symbols are below 2^24 bits. */
const STRETCH = 1 << 20;

export function stateCount(count: number): 1 | 4 {
  return count < 512 ? 1 : 4;
}

/** Bits that a payload of `count` symbols has beside those of the symbols, before it is rounded up to bytes. */
export function overheadBits(count: number, tableLog: number, lanes = stateCount(count)): number {
  return count === 0 ? 0 : 1 + lanes * tableLog;
}

/** Writes the slots (see EncodeTables) of symbols from .. to - 1 to the start of `slots`. */
export type SlotsOf = (slots: Int32Array, from: number, to: number) => void;

/**
 * @param count number of symbols, @param tableLog that of the tables
 * @param source the slots: one a byte, or a function that works them out by blocks
 * @param start bytes to put in front, so that they need no copy of the payload
 * @param lanes number of states
 */
export function encodePayload(
  count: number,
  tableLog: number,
  tables: EncodeTables,
  source: Uint8Array | SlotsOf,
  start = new Uint8Array(0),
  lanes = stateCount(count),
): Uint8Array {
  if (count === 0) return start.slice();
  const states = new Int32Array(4).fill(1 << tableLog);
  const slots = typeof source === "function" ? new Int32Array(Math.min(count, BLOCK)) : source;
  let bytes = new Uint8Array(2 * Math.min(count, BLOCK) + (count >>> 1) + 64 + start.length);
  // Everything from `at` on is written; `bits` bits, the low ones of `pending`, belong in front of it.
  const writer: Writer = { view: new DataView(bytes.buffer), at: bytes.length, pending: 0, bits: 0 };
  for (let end = count; end > 0; ) {
    const from = end - 1 - ((end - 1) % BLOCK);
    if (writer.at < 2 * (end - from) + 32 + start.length) {
      const more = new Uint8Array(2 * bytes.length);
      more.set(bytes.subarray(writer.at), bytes.length + writer.at);
      writer.at += bytes.length;
      bytes = more;
      writer.view = new DataView(bytes.buffer);
    }
    if (typeof source === "function") {
      source(slots as Int32Array, from, end);
      const to = encodeSingly(writer, slots, 0, end - from, lanes, states, tables);
      encodeSlots(writer, slots as Int32Array, 0, to, states, tables);
    } else {
      const to = encodeSingly(writer, source, from, end, lanes, states, tables);
      const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
      encodeByteSlots(writer, view, from, to, states, tables);
    }
    end = from;
  }
  const { view } = writer;
  let { at, pending, bits } = writer;
  const prepend = (value: number, width: number): void => {
    pending = (pending << width) | value;
    bits += width;
    view.setInt32(at - 4, pending << -bits, true);
    at -= bits >>> 3;
    bits &= 7;
  };
  for (let lane = lanes - 1; lane >= 0; lane--) prepend(states[lane] - (1 << tableLog), tableLog);
  prepend(1, 1);
  if (bits > 0) prepend(0, 8 - bits);
  at -= start.length;
  bytes.set(start, at);
  return bytes.slice(at);
}

/** Bits of the payload that encodePayload would write, exactly: its states walk, and nothing is written. */
export function payloadBits(
  count: number,
  tableLog: number,
  { transform, next }: EncodeTables,
  source: Uint8Array | SlotsOf,
  lanes = stateCount(count),
): number {
  if (count === 0) return 0;
  const mask = lanes - 1;
  const slots = new Int32Array(Math.min(count, BLOCK));
  const states = new Int32Array(4).fill(1 << tableLog);
  let bits = overheadBits(count, tableLog, lanes);
  for (let end = count; end > 0; ) {
    const start = end - 1 - ((end - 1) % BLOCK);
    if (typeof source === "function") source(slots, start, end);
    else slots.set(source.subarray(start, end));
    let widths = 0;
    for (let i = end - start - 1; i >= 0; i--) {
      const state = states[i & mask];
      const slot = slots[i] << 1;
      const width = (state + transform[slot]) >> 16;
      states[i & mask] = next[(state >> width) + transform[slot + 1]];
      widths += width;
    }
    bits += widths;
    end = start;
  }
  return Math.ceil(bits / 8) * 8;
}

interface Writer {
  view: DataView;
  at: number;
  pending: number;
  bits: number;
}

/** One symbol a step, from length - 1 down to a multiple of 4, or to 0 when there is one state. Returns where it stopped. */
function encodeSingly(
  writer: Writer,
  slots: Int32Array | Uint8Array,
  from: number,
  to: number,
  lanes: 1 | 4,
  states: Int32Array,
  tables: EncodeTables,
): number {
  const { transform, next } = tables;
  const { view } = writer;
  let { at, pending, bits } = writer;
  let i = to;
  while (i > from && (lanes === 1 || (i & 3) !== 0)) {
    i--;
    const lane = i & (lanes - 1);
    const state = states[lane];
    const slot = slots[i] << 1;
    const width = (state + transform[slot]) >> 16;
    pending = (pending << width) | (state & ~(-1 << width));
    bits += width;
    view.setInt32(at - 4, pending << -bits, true);
    at -= bits >>> 3;
    bits &= 7;
    states[lane] = next[(state >> width) + transform[slot + 1]];
  }
  writer.at = at;
  writer.pending = pending;
  writer.bits = bits;
  return i;
}

function encodeSlots(
  writer: Writer,
  slots: Int32Array,
  from: number,
  to: number,
  states: Int32Array,
  tables: EncodeTables,
): void {
  const { transform, next } = tables;
  const { view } = writer;
  let { at, pending, bits } = writer;
  let a = states[0];
  let b = states[1];
  let c = states[2];
  let d = states[3];
  for (let i = (to - 4) | 0; i >= from; i = (i - 4) | 0) {
    let slot = slots[i + 3] << 1;
    let first = (d + transform[slot]) >> 16;
    pending = (pending << first) | (d & ~(-1 << first));
    bits = (bits + first) | 0;
    d = next[((d >> first) + transform[slot + 1]) | 0];
    slot = slots[i + 2] << 1;
    let second = (c + transform[slot]) >> 16;
    if (first + second > 25) {
      view.setInt32(at - 4, pending << -bits, true);
      at -= bits >>> 3;
      bits &= 7;
    }
    pending = (pending << second) | (c & ~(-1 << second));
    bits = (bits + second) | 0;
    c = next[((c >> second) + transform[slot + 1]) | 0];
    view.setInt32((at - 4) | 0, pending << -bits, true);
    at = (at - (bits >>> 3)) | 0;
    bits &= 7;

    slot = slots[i + 1] << 1;
    first = (b + transform[slot]) >> 16;
    pending = (pending << first) | (b & ~(-1 << first));
    bits = (bits + first) | 0;
    b = next[((b >> first) + transform[slot + 1]) | 0];
    slot = slots[i] << 1;
    second = (a + transform[slot]) >> 16;
    if (first + second > 25) {
      view.setInt32(at - 4, pending << -bits, true);
      at -= bits >>> 3;
      bits &= 7;
    }
    pending = (pending << second) | (a & ~(-1 << second));
    bits = (bits + second) | 0;
    a = next[((a >> second) + transform[slot + 1]) | 0];
    view.setInt32((at - 4) | 0, pending << -bits, true);
    at = (at - (bits >>> 3)) | 0;
    bits &= 7;
  }
  states[0] = a;
  states[1] = b;
  states[2] = c;
  states[3] = d;
  writer.at = at;
  writer.pending = pending;
  writer.bits = bits;
}

/** encodeSlots for symbols of one byte that are their own slots: a load brings four. */
function encodeByteSlots(
  writer: Writer,
  symbols: DataView,
  from: number,
  to: number,
  states: Int32Array,
  tables: EncodeTables,
): void {
  const { transform, next } = tables;
  const { view } = writer;
  let { at, pending, bits } = writer;
  let a = states[0];
  let b = states[1];
  let c = states[2];
  let d = states[3];
  for (let i = (to - 4) | 0; i >= from; i = (i - 4) | 0) {
    const four = symbols.getInt32(i, true);
    let slot = (four >>> 24) << 1;
    let first = (d + transform[slot]) >> 16;
    pending = (pending << first) | (d & ~(-1 << first));
    bits = (bits + first) | 0;
    d = next[((d >> first) + transform[slot + 1]) | 0];
    slot = (four >>> 15) & 510;
    let second = (c + transform[slot]) >> 16;
    if (first + second > 25) {
      view.setInt32(at - 4, pending << -bits, true);
      at -= bits >>> 3;
      bits &= 7;
    }
    pending = (pending << second) | (c & ~(-1 << second));
    bits = (bits + second) | 0;
    c = next[((c >> second) + transform[slot + 1]) | 0];
    view.setInt32((at - 4) | 0, pending << -bits, true);
    at = (at - (bits >>> 3)) | 0;
    bits &= 7;

    slot = (four >>> 7) & 510;
    first = (b + transform[slot]) >> 16;
    pending = (pending << first) | (b & ~(-1 << first));
    bits = (bits + first) | 0;
    b = next[((b >> first) + transform[slot + 1]) | 0];
    slot = (four & 255) << 1;
    second = (a + transform[slot]) >> 16;
    if (first + second > 25) {
      view.setInt32(at - 4, pending << -bits, true);
      at -= bits >>> 3;
      bits &= 7;
    }
    pending = (pending << second) | (a & ~(-1 << second));
    bits = (bits + second) | 0;
    a = next[((a >> second) + transform[slot + 1]) | 0];
    view.setInt32((at - 4) | 0, pending << -bits, true);
    at = (at - (bits >>> 3)) | 0;
    bits &= 7;
  }
  states[0] = a;
  states[1] = b;
  states[2] = c;
  states[3] = d;
  writer.at = at;
  writer.pending = pending;
  writer.bits = bits;
}

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
