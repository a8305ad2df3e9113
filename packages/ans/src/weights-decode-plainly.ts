/**
 * Rows one weight at a time: of tensors too small for four states, and the last one to three rows of others. The loops for groups of
 * four are the same by hand.
 */
import {
  asNeighbour,
  EXPECTED_CLASS,
  EXPECTED_CLASSES,
  KERNEL_SHIFT,
  LANES,
  LOGARITHMS,
  MATRIX_SHIFT,
  TABLE_LOG,
} from "./weights-contexts.js";
import type { Group, WeightDecoder } from "./weights-decoder.js";
import { rareValue } from "./weights-low-bits.js";
import { ESCAPE } from "./weights-tables.js";

export function decodePlainly(decoder: WeightDecoder, group: Group, stateCount: number): void {
  const { integers, rowLength, kernelHeight, rowMeans, columnScales, rowScales, states, low, tables } =
    decoder;
  const { isMatrix, words } = tables;
  const { row, lanes, columnMeans, gain, rate } = group;
  // A row of a matrix is one line, whose second neighbour is not above, but further left.
  const width = isMatrix ? rowLength : decoder.kernelWidth;
  const origin = decoder.position >>> 3;
  const view = new DataView(decoder.payload.buffer, origin);
  const end = decoder.end - 8 * origin;
  const absents = [0, 0, 0, 0];
  let position = decoder.position & 7;
  let index = row * rowLength + group.from * lanes;
  for (let j = group.from; j < group.to && position <= end; j++) {
    const x = j % width;
    const y = Math.floor(j / width) % kernelHeight;
    let sum = 0;
    for (let lane = 0; lane < lanes; lane++, index++) {
      const at = (row + lane) * rowLength + j;
      const up = at - width;
      const mean = rowMeans[lane];
      if (x === 0) absents[lane] = mean >> 4;
      const near = (exists: boolean, k: number) => {
        const value = asNeighbour(integers[k]);
        return exists ? (Math.abs(value) << 22) + value : absents[lane] << 16;
      };
      const twice = 2 * (near(x > 0, at - 1) + (isMatrix ? near(x > 1, at - 2) : near(y > 0, up)));
      const corner = isMatrix ? 0 : near(y > 0 && x > 0, up - 1);
      const right = isMatrix ? 0 : near(y > 0 && x + 1 < width, up + 1);
      const around = (mean >> (isMatrix ? 2 : 3)) + ((twice + corner + right + 0x8000) >> 16);
      const expected = isMatrix ? 0 : ((twice - corner) << 16) >> 16;
      const scale = (rowScales[around >> 3] + columnScales[j]) >> (isMatrix ? MATRIX_SHIFT : KERNEL_SHIFT);
      const table = isMatrix ? scale : EXPECTED_CLASSES * scale + EXPECTED_CLASS[Math.abs(expected)];
      const state = index & (stateCount - 1);
      const word = words[(table << TABLE_LOG) + states[state]];
      const bits = view.getInt32(position >>> 3, true) >>> (position & 7);
      states[state] = ((word >>> 6) & 0x3fff) + (bits & ~(-1 << word));
      position += word & 31;
      let value = word >> 20;
      if (value >= ESCAPE) value = rareValue(low, tables, value, table);
      integers[at] = expected < 0 ? -value : value;
      const size = Math.abs(asNeighbour(value));
      rowMeans[lane] = mean + (((size << 10) - mean) >> 4);
      sum += size;
    }
    if (lanes === LANES) {
      columnMeans[j] += (((sum << 8) - columnMeans[j]) * rate) >> 6;
      columnScales[j] = gain * LOGARITHMS[columnMeans[j] >> 4];
    }
  }
  decoder.position = position + 8 * origin;
}
