/**
 * The decoder one weight after the other, as FORMAT.md says it: for engines without WebAssembly, and to see what assembly/ does.
 */
import { corrupt } from "@bitdiet/stream";
import { bitsAt, type CodedWeights, type EndOfWeights, type WeightBlock } from "./weights-coded.js";
import {
  asNeighbour,
  columnRate,
  EXPECTED_CLASS,
  EXPECTED_CLASSES,
  KERNEL_SHIFT,
  LANES,
  LOGARITHMS,
  MATRIX_SHIFT,
  meanOfClass,
  rowScales,
  TABLE_LOG,
} from "./weights-contexts.js";
import { type LowBits, rareValue } from "./weights-low-bits.js";
import { ESCAPE, frozenTables } from "./weights-tables.js";
import { expectedOf, kernelMean, matrixMean, movedMean } from "./weights-walk.js";

export function* decodePlainly(coded: CodedWeights): Generator<WeightBlock, EndOfWeights> {
  const { count, isMatrix, payload, gains, meanClass } = coded;
  const { rowLength, height, width } = coded.shape;
  const tables = frozenTables(isMatrix, coded.profile);
  const scales = rowScales(meanClass, gains);
  const integers = new Int32Array(LANES * rowLength);
  const states = coded.states.slice();
  const low: LowBits = { bytes: coded.low, bit: 0 };
  const end = 8 * payload.length;
  const rows = count / rowLength;
  let { position } = coded;
  let rowStart = meanOfClass(meanClass);
  const columnMeans = new Int32Array(rowLength).fill(rowStart);
  for (let start = 0; start < rows && position <= end; start += LANES) {
    const group = Array.from({ length: Math.min(LANES, rows - start) }, (_, lane) => ({
      row: integers.subarray(lane * rowLength, (lane + 1) * rowLength),
      mean: rowStart,
      absent: 0,
    }));
    // A lane that reads nothing more has come to its end.
    if (states.subarray(group.length).some(Boolean)) corrupt("weights: end");
    const rate = columnRate(start / LANES);
    for (let j = 0; j < rowLength && position <= end; j++) {
      const x = j % width;
      const y = Math.floor(j / width) % height;
      const columnScale = gains[1] * LOGARITHMS[columnMeans[j] >> 4];
      let sum = 0;
      group.forEach((lane, k) => {
        const { row, mean } = lane;
        if (isMatrix ? j === 0 : x === 0) lane.absent = mean >> 4;
        const local = isMatrix
          ? matrixMean(row, j, mean, lane.absent)
          : kernelMean(row, j, x, y, width, mean, lane.absent);
        const expected = isMatrix ? 0 : expectedOf(row, j, x, y, width);
        const scale = (scales[local] + columnScale) >> (isMatrix ? MATRIX_SHIFT : KERNEL_SHIFT);
        const table = isMatrix ? scale : EXPECTED_CLASSES * scale + EXPECTED_CLASS[Math.abs(expected)];
        const word = tables.words[(table << TABLE_LOG) + states[k]];
        states[k] = ((word >>> 6) & 0x3fff) + (bitsAt(payload, position) & ~(-1 << word));
        position += word & 31;
        let value = word >> 20;
        if (value >= ESCAPE) value = rareValue(low, tables.limits, isMatrix, value, table);
        row[j] = expected < 0 ? -value : value;
        const size = Math.abs(asNeighbour(row[j]));
        sum += size;
        lane.mean = movedMean(mean, size);
      });
      columnMeans[j] += (((sum << 8) - columnMeans[j]) * rate) >> 6;
    }
    yield {
      row: start,
      from: 0,
      columns: rowLength,
      integers: integers.subarray(0, group.length * rowLength),
    };
    rowStart = (rowStart + (group.reduce((all, { mean }) => all + mean, 0) >> 2)) >> 1;
  }
  return { states, position, lowPosition: low.bit };
}
