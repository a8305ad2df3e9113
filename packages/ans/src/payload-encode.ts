/**
 * Symbols to the bits of a payload, see payload.ts: from the last symbol to the first, each in front of those behind it.
 *
 *     encodePayload(symbols.length, tableLog, tables, symbols)
 */
import { overheadBits, stateCount } from "./payload.js";
import type { EncodeTables } from "./tables.js";

/** Symbols whose slots are worked out at once; a multiple of 4. */
const BLOCK = 1 << 13;

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
