/** Four rows of a matrix at once, by hand: see FORMAT.md for what happens, and payload-decode.ts for how bits are read. */
import { asNeighbour, LOGARITHMS, TABLE_LOG } from "./weights-contexts.js";
import type { Group, WeightDecoder } from "./weights-decoder.js";
import { rareValue } from "./weights-low-bits.js";
import { ESCAPE } from "./weights-tables.js";

export function decodeMatrix(decoder: WeightDecoder, group: Group): void {
  const { integers, rowLength, rowScales, columnScales, states, rowMeans, low, tables } = decoder;
  const { words } = tables;
  const { columnMeans, gain, rate, from, to, starts } = group;
  const [, startB, startC, startD] = starts;
  const origin = decoder.position >>> 3;
  const view = new DataView(decoder.payload.buffer, origin);
  const end = Math.min(decoder.end - 8 * origin, 2 ** 30);
  let position = decoder.position & 7;
  let [a, b, c, d] = states;
  let [meanA, meanB, meanC, meanD] = rowMeans;
  let at = (group.row * rowLength + from) | 0;
  const sizeAt = (row: number, back: number) =>
    from >= back ? Math.abs(asNeighbour(integers[at + row * rowLength - back])) << 6 : rowMeans[row] >> 4;
  let leftA = sizeAt(0, 1);
  let leftB = sizeAt(1, 1);
  let leftC = sizeAt(2, 1);
  let leftD = sizeAt(3, 1);
  let nextA = sizeAt(0, 2);
  let nextB = sizeAt(1, 2);
  let nextC = sizeAt(2, 2);
  let nextD = sizeAt(3, 2);
  for (let j = from; j < to && position <= end; j = (j + 1) | 0, at = (at + 1) | 0) {
    const column = columnScales[j];
    let place = at;
    let sum = 0;
    // Pairs of rows, each in a block: a minifier gives both the same names, which gzip finds.
    {
      const scale = (rowScales[((meanA >> 2) + ((leftA + nextA) << 1)) >> 3] + column) >> 8;
      const other = (rowScales[((meanB >> 2) + ((leftB + nextB) << 1)) >> 3] + column) >> 8;
      const word = words[((scale << TABLE_LOG) + a) | 0];
      const next = words[((other << TABLE_LOG) + startB + b) | 0];
      let bits = view.getInt32(position >>> 3, true) >>> (position & 7);
      a = ((word >>> 6) & 0x3fff) + (bits & ~(-1 << word));
      bits >>>= word;
      b = ((next >>> 6) & 0x3fff) + (bits & ~(-1 << next));
      position = (position + ((word + next) & 31)) | 0;
      let value = word >> 20;
      integers[place] = value;
      if (value >= ESCAPE) value = asNeighbour((integers[place] = rareValue(low, tables, value, scale)));
      let size = (value ^ (value >> 31)) - (value >> 31);
      sum = size;
      nextA = leftA;
      leftA = size << 6;
      meanA = (meanA + (((size << 10) - meanA) >> 4)) | 0;
      value = next >> 20;
      place = (place + rowLength) | 0;
      integers[place] = value;
      if (value >= ESCAPE) value = asNeighbour((integers[place] = rareValue(low, tables, value, other)));
      size = (value ^ (value >> 31)) - (value >> 31);
      sum = (sum + size) | 0;
      nextB = leftB;
      leftB = size << 6;
      meanB = (meanB + (((size << 10) - meanB) >> 4)) | 0;
    }
    {
      const scale = (rowScales[((meanC >> 2) + ((leftC + nextC) << 1)) >> 3] + column) >> 8;
      const other = (rowScales[((meanD >> 2) + ((leftD + nextD) << 1)) >> 3] + column) >> 8;
      const word = words[((scale << TABLE_LOG) + startC + c) | 0];
      const next = words[((other << TABLE_LOG) + startD + d) | 0];
      let bits = view.getInt32(position >>> 3, true) >>> (position & 7);
      c = ((word >>> 6) & 0x3fff) + (bits & ~(-1 << word));
      bits >>>= word;
      d = ((next >>> 6) & 0x3fff) + (bits & ~(-1 << next));
      position = (position + ((word + next) & 31)) | 0;
      let value = word >> 20;
      place = (place + rowLength) | 0;
      integers[place] = value;
      if (value >= ESCAPE) value = asNeighbour((integers[place] = rareValue(low, tables, value, scale)));
      let size = (value ^ (value >> 31)) - (value >> 31);
      sum = (sum + size) | 0;
      nextC = leftC;
      leftC = size << 6;
      meanC = (meanC + (((size << 10) - meanC) >> 4)) | 0;
      value = next >> 20;
      place = (place + rowLength) | 0;
      integers[place] = value;
      if (value >= ESCAPE) value = asNeighbour((integers[place] = rareValue(low, tables, value, other)));
      size = (value ^ (value >> 31)) - (value >> 31);
      sum = (sum + size) | 0;
      nextD = leftD;
      leftD = size << 6;
      meanD = (meanD + (((size << 10) - meanD) >> 4)) | 0;
    }
    let columnMean = columnMeans[j];
    columnMean = (columnMean + (Math.imul((sum << 8) - columnMean, rate) >> 6)) | 0;
    columnMeans[j] = columnMean;
    columnScales[j] = Math.imul(gain, LOGARITHMS[columnMean >> 4]);
  }
  states.set([a, b, c, d]);
  rowMeans.set([meanA, meanB, meanC, meanD]);
  decoder.position = position + 8 * origin;
}
