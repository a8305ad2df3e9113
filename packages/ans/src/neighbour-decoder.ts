/**
 * Decoding with neighbour contexts: the loop that keeps the classes of one line of symbols and never calls back.
 *
 *     left class 1, above class 2, channel before 0 -> starts[1 | 2 << 4 | 0 << 8] -> that context's table
 */
import { type NeighbourContexts, symbolClasses } from "./contexts.js";
import { type DecodeStretch, stateCount } from "./payload.js";
import type { DecodeTable } from "./tables.js";

/**
 * @param table, tableOf, tableLog see contextDecodeTable and ContextTables
 * @param values the symbol of each index
 */
export function neighbourDecoder(
  table: DecodeTable,
  tableOf: Uint8Array,
  tableLog: number,
  values: Uint16Array,
  contexts: NeighbourContexts,
  count: number,
): DecodeStretch<Uint8Array | Uint16Array> {
  const { height, width, channels, thresholds } = contexts;
  const base = thresholds.length + 1;
  // Where the table of a context starts, by left class | above class << 4 | class of the channel before << 8.
  const starts = new Int32Array(4096);
  for (let context = 0; context < contexts.count; context++) {
    const key =
      (context % base) | ((Math.floor(context / base) % base) << 4) | (Math.floor(context / base ** 2) << 8);
    starts[key] = tableOf[context] << tableLog;
  }
  const symbolClass = symbolClasses(contexts, values.length === 0 ? 0 : values[values.length - 1] + 1);
  const classes = Uint8Array.from(values, (value) => symbolClass[value]);
  const line = width * channels;
  // row[j + channels] is the class above position j until j is decoded, then its own; row[j] is the one to the left.
  let row = new Uint8Array(0);
  let column = 0;
  let y = 0;
  let last = 0;
  let channel = channels;
  const fourStates = stateCount(count) === 4;

  return (reader, out, from, to) => {
    const { view, states, end } = reader;
    let { position } = reader;
    let a = states[0];
    let b = states[1];
    let c = states[2];
    let d = states[3];
    // It grows with the first row, so that a claimed width alone allocates nothing.
    const needed = Math.min(line, column + to - from) + channels;
    if (y === 0 && row.length < needed) {
      const more = new Uint8Array(Math.min(line + channels, 2 * needed));
      more.set(row);
      row = more;
    }
    for (let i = from; i < to && position <= end; ) {
      if (column === line) {
        column = 0;
        if (++y === height) {
          y = 0;
          row.fill(0);
        }
      }
      const stop = Math.min(to, i + line - column);
      for (let j = column - i; i < stop && position <= end; i = (i + 1) | 0) {
        const at = (j + i) | 0;
        const entry = table[(starts[row[at] | (row[at + channels] << 4) | last] + a) | 0];
        const word = view.getInt32(position >>> 3, true) >>> (position & 7);
        const state = ((entry >>> 6) & 0x3fff) + (word & ~(-1 << entry));
        position = (position + (entry & 31)) | 0;
        if (fourStates) {
          a = b;
          b = c;
          c = d;
          d = state;
        } else {
          a = state;
        }
        const index = entry >>> 20;
        out[i] = values[index];
        const own = classes[index];
        row[at + channels] = own;
        last = own << 8;
        if (--channel === 0) {
          last = 0;
          channel = channels;
        }
        column++;
      }
    }
    states[0] = a;
    states[1] = b;
    states[2] = c;
    states[3] = d;
    reader.position = position;
  };
}
