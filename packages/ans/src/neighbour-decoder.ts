/**
 * Decoding with neighbour contexts: the loop that keeps the classes of one line of symbols and never calls back.
 *
 *     left class 1, above class 2, channel before 0 -> starts[1 | 2 << 4 | 0 << 8] -> that context's table
 */
import { bandTops, type NeighbourContexts, symbolClasses } from "./contexts.js";
import { stateCount } from "./payload.js";
import { type DecodeStretch, decodePayload, type Reader } from "./payload-decode.js";
import type { DecodeTable } from "./tables.js";

/** Everything the loops need to know, worked out once. */
interface Plan {
  table: DecodeTable;
  /** Where a context's table starts, by the classes left | above << 3 | above right << 6 | channel before << 9. */
  starts: Int32Array;
  values: Uint16Array;
  classes: Uint8Array;
  height: number;
  channels: number;
  /** Symbols of a row. */
  line: number;
  tops: number[];
}

/**
 * Decodes a payload of whole maps.
 *
 * @param table see contextDecodeTable, @param values the symbol of each index
 * @throws {CorruptInputError}
 */
export function decodeMaps(
  payload: Uint8Array,
  count: number,
  table: DecodeTable,
  { tableLog, tableOf }: { tableLog: number; tableOf: Uint8Array },
  values: Uint16Array,
  contexts: NeighbourContexts,
  allocate: (length: number) => Uint8Array | Uint16Array,
): Uint8Array | Uint16Array {
  const { height, width, channels, thresholds } = contexts;
  const base = thresholds.length + 1;
  const starts = new Int32Array(4096);
  for (let context = 0; context < contexts.count; context++) {
    let key = 0;
    for (let rest = context, shift = 0; rest > 0; rest = Math.floor(rest / base), shift += 3) {
      key |= (rest % base) << shift;
    }
    starts[key] = tableOf[context] << tableLog;
  }
  const classOf = symbolClasses(contexts, values[values.length - 1] + 1);
  const classes = Uint8Array.from(values, (value) => classOf[value]);
  const line = width * channels;
  const tops = bandTops(count, contexts);
  const plan = { table, starts, values, classes, height, channels, line, tops };
  if (tops.length === 2) return decodePayload(payload, count, tableLog, allocate, bandDecoder(plan, count));
  // Bands fill the output from four places, so it cannot grow with them: it is all allocated, within the caller's cap.
  return decodePayload(payload, count, tableLog, allocate, bandsDecoder(plan), count);
}

/** One band: symbols in order, the states in turn. */
function bandDecoder(plan: Plan, count: number): DecodeStretch<Uint8Array | Uint16Array> {
  const { table, starts, values, classes, height, channels, line } = plan;
  // row[j + channels] is the class above position j until j is decoded, then its own; a pixel of zeros at either end.
  let row = new Uint8Array(0);
  const state = { column: 0, y: 0, last: 0, channel: channels };
  const fourStates = stateCount(count) === 4;

  return (reader, out, from, to) => {
    const { view, states, end } = reader;
    let { position } = reader;
    let { column, y, last, channel } = state;
    let a = states[0];
    let b = states[1];
    let c = states[2];
    let d = states[3];
    // It grows with the first row, so that a claimed width alone allocates nothing.
    const needed = Math.min(line, column + to - from) + 2 * channels;
    if (y === 0 && row.length < needed) {
      const more = new Uint8Array(Math.min(line + 2 * channels, 2 * needed));
      more.set(row);
      row = more;
    }
    const classesAbove = row;
    for (let i = from; i < to && position <= end; ) {
      if (column === line) {
        column = 0;
        if (++y === height) {
          y = 0;
          row.fill(0);
        }
      }
      const stop = Math.min(to, i + line - column);
      const first = i - column;
      for (; i < stop && position <= end; i = (i + 1) | 0) {
        const left = (i - first) | 0;
        const own = (left + channels) | 0;
        const key =
          classesAbove[left] | (classesAbove[own] << 3) | (classesAbove[(own + channels) | 0] << 6) | last;
        const entry = table[(starts[key] + a) | 0];
        const word = view.getInt32(position >>> 3, true) >>> (position & 7);
        const next = ((entry >>> 6) & 0x3fff) + (word & ~(-1 << entry));
        position = (position + (entry & 31)) | 0;
        if (fourStates) {
          a = b;
          b = c;
          c = d;
          d = next;
        } else {
          a = next;
        }
        const index = entry >>> 20;
        out[i] = values[index];
        const symbolClass = classes[index];
        classesAbove[own] = symbolClass;
        channel = (channel - 1) | 0;
        last = symbolClass << 9;
        if (channel === 0) {
          last = 0;
          channel = channels;
        }
      }
      column = i - first;
    }
    states[0] = a;
    states[1] = b;
    states[2] = c;
    states[3] = d;
    state.column = column;
    state.y = y;
    state.last = last;
    state.channel = channel;
    reader.position = position;
  };
}

/** Four bands: a symbol of each in turn, each with its own state and row. */
function bandsDecoder(plan: Plan): DecodeStretch<Uint8Array | Uint16Array> {
  const rows = Array.from({ length: 4 }, () => new Uint8Array(plan.line + 2 * plan.channels));
  const last = new Int32Array(4);
  return (reader, out, from, to) => decodeBands(reader, plan, rows, last, out, from, to);
}

/** Clears what lies above a row of the first so many bands where a map begins, and the channel before. */
function startRow(
  { tops, height }: Plan,
  rows: Uint8Array[],
  last: Int32Array,
  row: number,
  bands: number,
): void {
  last.fill(0);
  for (let band = 0; band < bands; band++) if ((tops[band] + row) % height === 0) rows[band].fill(0);
}

/** Symbols from .. to - 1 in coding order. (Not a closure: engines would optimize it anew for every payload.) */
function decodeBands(
  reader: Reader,
  plan: Plan,
  rows: Uint8Array[],
  last: Int32Array,
  out: Uint8Array | Uint16Array,
  from: number,
  to: number,
): void {
  const { line, channels, tops, starts, table, values, classes } = plan;
  const common = Math.floor(tops[4] / 4);
  let at = from;
  for (const end = Math.min(to, common * 4 * line); at < end; ) {
    const row = Math.floor(at / (4 * line));
    const column = at / 4 - row * line;
    if (column === 0) startRow(plan, rows, last, row, 4);
    const stop = Math.min(line, column + (end - at) / 4);
    decodeRow(reader, plan, rows, last, out, row, column, stop);
    at += 4 * (stop - column);
    if (reader.position > reader.end) return;
  }
  // The rows that only the first bands have.
  const bands = tops[4] % 4;
  const { view, states, end } = reader;
  let { position } = reader;
  for (; at < to && position <= end; at++) {
    const band = (at - common * 4 * line) % bands;
    const j = (at - common * 4 * line - band) / bands;
    if (j === 0 && band === 0) startRow(plan, rows, last, common, bands);
    const row = rows[band];
    const key =
      row[j] |
      (row[j + channels] << 3) |
      (row[j + 2 * channels] << 6) |
      (j % channels === 0 ? 0 : last[band]);
    const entry = table[starts[key] + states[at & 3]];
    const word = view.getInt32(position >>> 3, true) >>> (position & 7);
    states[at & 3] = ((entry >>> 6) & 0x3fff) + (word & ~(-1 << entry));
    position += entry & 31;
    out[(tops[band] + common) * line + j] = values[entry >>> 20];
    row[j + channels] = classes[entry >>> 20];
    last[band] = classes[entry >>> 20] << 9;
  }
  reader.position = position;
}

/** Columns from .. to - 1 of one row in each of four bands. */
function decodeRow(
  reader: Reader,
  plan: Plan,
  rows: Uint8Array[],
  last: Int32Array,
  out: Uint8Array | Uint16Array,
  row: number,
  from: number,
  to: number,
): void {
  const { table, starts, values, classes, channels, line, tops } = plan;
  const { view, states, end } = reader;
  const [row0, row1, row2, row3] = rows;
  const place0 = (tops[0] + row) * line;
  const place1 = (tops[1] + row) * line;
  const place2 = (tops[2] + row) * line;
  const place3 = (tops[3] + row) * line;
  let { position } = reader;
  let a = states[0];
  let b = states[1];
  let c = states[2];
  let d = states[3];
  let last0 = last[0];
  let last1 = last[1];
  let last2 = last[2];
  let last3 = last[3];
  let channel = from % channels;
  for (let j = from; j < to && position <= end; j = (j + 1) | 0) {
    const own = (j + channels) | 0;
    const right = (own + channels) | 0;
    let entry = table[(starts[row0[j] | (row0[own] << 3) | (row0[right] << 6) | last0] + a) | 0];
    let word = view.getInt32(position >>> 3, true) >>> (position & 7);
    position = (position + (entry & 31)) | 0;
    a = ((entry >>> 6) & 0x3fff) + (word & ~(-1 << entry));
    let index = entry >>> 20;
    out[(place0 + j) | 0] = values[index];
    last0 = classes[index];
    row0[own] = last0;

    entry = table[(starts[row1[j] | (row1[own] << 3) | (row1[right] << 6) | last1] + b) | 0];
    word = view.getInt32(position >>> 3, true) >>> (position & 7);
    position = (position + (entry & 31)) | 0;
    b = ((entry >>> 6) & 0x3fff) + (word & ~(-1 << entry));
    index = entry >>> 20;
    out[(place1 + j) | 0] = values[index];
    last1 = classes[index];
    row1[own] = last1;

    entry = table[(starts[row2[j] | (row2[own] << 3) | (row2[right] << 6) | last2] + c) | 0];
    word = view.getInt32(position >>> 3, true) >>> (position & 7);
    position = (position + (entry & 31)) | 0;
    c = ((entry >>> 6) & 0x3fff) + (word & ~(-1 << entry));
    index = entry >>> 20;
    out[(place2 + j) | 0] = values[index];
    last2 = classes[index];
    row2[own] = last2;

    entry = table[(starts[row3[j] | (row3[own] << 3) | (row3[right] << 6) | last3] + d) | 0];
    word = view.getInt32(position >>> 3, true) >>> (position & 7);
    position = (position + (entry & 31)) | 0;
    d = ((entry >>> 6) & 0x3fff) + (word & ~(-1 << entry));
    index = entry >>> 20;
    out[(place3 + j) | 0] = values[index];
    last3 = classes[index];
    row3[own] = last3;

    channel = (channel + 1) | 0;
    if (channel === channels) {
      channel = 0;
      last0 = 0;
      last1 = 0;
      last2 = 0;
      last3 = 0;
    } else {
      last0 <<= 9;
      last1 <<= 9;
      last2 <<= 9;
      last3 <<= 9;
    }
  }
  states[0] = a;
  states[1] = b;
  states[2] = c;
  states[3] = d;
  last[0] = last0;
  last[1] = last1;
  last[2] = last2;
  last[3] = last3;
  reader.position = position;
}
