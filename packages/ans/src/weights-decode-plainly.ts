/**
 * Rows one weight at a time: of tensors too small for four states, and the last one to three rows of others. The loops for groups of
 * four are the same by hand.
 */
import {
  EXPECTED_CLASS,
  EXPECTED_CLASSES,
  KERNEL_SHIFT,
  LOGARITHMS,
  MATRIX_SHIFT,
  MAX_SYMBOL,
  OCTAVES,
  TABLE_LOG,
} from "./weights-contexts.js";
import type { Group, WeightDecoder } from "./weights-decoder.js";
import { rareValue } from "./weights-low-bits.js";
import { ESCAPE, ownTable } from "./weights-tables.js";

export function decodePlainly(decoder: WeightDecoder, group: Group, stateCount: number): void {
  const { integers, rowLength, kernelHeight, kernelWidth, rowMeans, columnScales, rowScales, low } = decoder;
  const { words, limits } = decoder.tables;
  const { row, lanes, columnMeans, gain, rate } = group;
  const isMatrix = kernelHeight * kernelWidth === 1;
  const shift = isMatrix ? MATRIX_SHIFT : KERNEL_SHIFT;
  const perOctave = isMatrix ? 4 : 2;
  const origin = decoder.position >>> 3;
  const view = new DataView(decoder.payload.buffer, origin);
  const end = decoder.end - 8 * origin;
  const absents = [0, 0, 0, 0];
  let position = decoder.position & 7;
  let index = row * rowLength + group.from * lanes;
  const valueAt = (at: number) => Math.max(-MAX_SYMBOL, Math.min(MAX_SYMBOL, integers[at]));
  const sizeAt = (at: number) => Math.abs(valueAt(at)) << 6;
  for (let j = group.from; j < group.to && position <= end; j++) {
    const x = j % kernelWidth;
    const y = Math.floor(j / kernelWidth) % kernelHeight;
    let sum = 0;
    for (let lane = 0; lane < lanes; lane++, index++) {
      const at = (row + lane) * rowLength + j;
      const mean = rowMeans[lane];
      let around: number;
      let expected = 0;
      if (isMatrix) {
        if (j === 0) absents[lane] = mean >> 4;
        const left = j > 0 ? sizeAt(at - 1) : absents[lane];
        const second = j > 1 ? sizeAt(at - 2) : absents[lane];
        around = (mean >> 2) + 2 * (left + second);
      } else {
        if (x === 0) absents[lane] = mean >> 4;
        const sizeOr = (exists: boolean, k: number) => (exists ? sizeAt(k) : absents[lane]);
        const up = at - kernelWidth;
        const left = sizeOr(x > 0, at - 1);
        const corner = sizeOr(y > 0 && x > 0, up - 1);
        const right = sizeOr(y > 0 && x + 1 < kernelWidth, up + 1);
        around = (mean >> 3) + 2 * (left + sizeOr(y > 0, up)) + corner + right;
        if (x > 0) expected += 2 * valueAt(at - 1);
        if (y > 0) expected += 2 * valueAt(up);
        if (x > 0 && y > 0) expected -= valueAt(up - 1);
      }
      const scale = (rowScales[around >> 3] + columnScales[j]) >> shift;
      const beyond = scale < OCTAVES * perOctave ? 0 : 1 + Math.floor(scale / perOctave - OCTAVES);
      const table = isMatrix ? scale : EXPECTED_CLASSES * scale + EXPECTED_CLASS[Math.abs(expected)];
      const state = index & (stateCount - 1);
      const word = words[(table << TABLE_LOG) + decoder.states[state]];
      const bits = view.getInt32(position >>> 3, true) >>> (position & 7);
      decoder.states[state] = ((word >>> 6) & 0x3fff) + (bits & ~(-1 << word));
      position += word & 31;
      let value = word >> 20;
      if (value >= ESCAPE) {
        value = rareValue(low, value, beyond, limits[ownTable(isMatrix, table, beyond)]);
      }
      integers[at] = expected < 0 ? -value : value;
      const size = Math.abs(valueAt(at));
      rowMeans[lane] = mean + (((size << 10) - mean) >> 4);
      sum += size;
    }
    if (lanes === 4) {
      columnMeans[j] += (((sum << 8) - columnMeans[j]) * rate) >> 6;
      columnScales[j] = gain * LOGARITHMS[columnMeans[j] >> 4];
    }
  }
  decoder.position = position + 8 * origin;
}
