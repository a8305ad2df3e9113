/**
 * Four rows of kernels at once, by hand: see FORMAT.md for what happens, and payload-decode.ts for how bits are read.
 *
 * A neighbour is one number, 2^16 times its magnitude in units of 1/64 plus its value, so that one sum adds up both.
 */
import { asNeighbour, EXPECTED_CLASS, EXPECTED_CLASSES, LOGARITHMS, TABLE_LOG } from "./weights-contexts.js";
import type { Group, WeightDecoder } from "./weights-decoder.js";
import { rareValue } from "./weights-low-bits.js";
import { ESCAPE } from "./weights-tables.js";

/** Where the tables of each expected value's class start, from the first of its scale on. */
const CLASS_STARTS = /* @__PURE__ */ classStarts();

function classStarts(): Int32Array {
  return Int32Array.from(EXPECTED_CLASS, (k) => k << TABLE_LOG);
}

/** Where the tables of a scale start. */
const SCALE_LOG = TABLE_LOG + 3;

/** The value of a word that stands for more than a symbol, by scale and expected value. */
const rare = ({ low, tables }: WeightDecoder, symbol: number, scale: number, expected: number): number =>
  rareValue(low, tables, symbol, EXPECTED_CLASSES * scale + EXPECTED_CLASS[expected]);

export function decodeKernels(decoder: WeightDecoder, group: Group): void {
  const { integers, rowLength, rowScales, columnScales, states, rowMeans } = decoder;
  const { kernelHeight, kernelWidth } = decoder;
  const { words } = decoder.tables;
  const { columnMeans, gain, rate, from, to, starts } = group;
  const [, startB, startC, startD] = starts;
  const origin = decoder.position >>> 3;
  const view = new DataView(decoder.payload.buffer, origin);
  const end = Math.min(decoder.end - 8 * origin, 2 ** 30);
  /** Line of the kernel in each of the four rows: the one before this from x on, this one before x; one more for what is absent. */
  const line = new Int32Array(4 * (kernelWidth + 1));
  const last = 4 * kernelWidth;
  let position = decoder.position & 7;
  let [a, b, c, d] = states;
  let [meanA, meanB, meanC, meanD] = rowMeans;
  let at = (group.row * rowLength + from) | 0;
  let y = 0;
  for (let j = from; j < to && position <= end; ) {
    // What is absent has the row's mean.
    let leftA = (meanA >> 4) << 16;
    let leftB = (meanB >> 4) << 16;
    let leftC = (meanC >> 4) << 16;
    let leftD = (meanD >> 4) << 16;
    let cornerA = leftA;
    let cornerB = leftB;
    let cornerC = leftC;
    let cornerD = leftD;
    if (y === 0) {
      for (let x = 0; x < last; x += 4) {
        line[x] = leftA;
        line[x + 1] = leftB;
        line[x + 2] = leftC;
        line[x + 3] = leftD;
      }
    }
    line[last] = leftA;
    line[last + 1] = leftB;
    line[last + 2] = leftC;
    line[last + 3] = leftD;
    let upA = line[0];
    let upB = line[1];
    let upC = line[2];
    let upD = line[3];
    for (let x = 0; x < last && position <= end; x = (x + 4) | 0, j = (j + 1) | 0, at = (at + 1) | 0) {
      const column = columnScales[j];
      let place = at;
      let sum = 0;
      // Pairs of rows, each in a block: a minifier gives both the same names, which gzip finds.
      {
        const rightA = line[x + 4];
        let twice = (leftA + upA) << 1;
        const expectedA = ((twice - cornerA) << 16) >> 16;
        const flipA = expectedA >> 31;
        const sizeA = (expectedA ^ flipA) - flipA;
        const aroundA = (twice + cornerA + rightA + 0x8000) >> 16;
        const scaleA = (rowScales[(aroundA + (meanA >> 3)) >> 3] + column) >> 9;
        const rightB = line[x + 5];
        twice = (leftB + upB) << 1;
        const expectedB = ((twice - cornerB) << 16) >> 16;
        const flipB = expectedB >> 31;
        const sizeB = (expectedB ^ flipB) - flipB;
        const aroundB = (twice + cornerB + rightB + 0x8000) >> 16;
        const scaleB = (rowScales[(aroundB + (meanB >> 3)) >> 3] + column) >> 9;
        const word = words[((scaleA << SCALE_LOG) + CLASS_STARTS[sizeA] + a) | 0];
        const next = words[((scaleB << SCALE_LOG) + CLASS_STARTS[sizeB] + startB + b) | 0];
        let bits = view.getInt32(position >>> 3, true) >>> (position & 7);
        a = ((word >>> 6) & 0x3fff) + (bits & ~(-1 << word));
        bits >>>= word;
        b = ((next >>> 6) & 0x3fff) + (bits & ~(-1 << next));
        position = (position + ((word + next) & 31)) | 0;
        let value = ((word >> 20) ^ flipA) - flipA;
        integers[place] = value;
        if (word >> 20 >= ESCAPE) {
          value = (rare(decoder, word >> 20, scaleA, sizeA) ^ flipA) - flipA;
          integers[place] = value;
          value = asNeighbour(value);
        }
        let size = (value ^ (value >> 31)) - (value >> 31);
        sum = size;
        cornerA = upA;
        upA = rightA;
        leftA = ((size << 22) + value) | 0;
        line[x] = leftA;
        meanA = (meanA + (((size << 10) - meanA) >> 4)) | 0;
        value = ((next >> 20) ^ flipB) - flipB;
        place = (place + rowLength) | 0;
        integers[place] = value;
        if (next >> 20 >= ESCAPE) {
          value = (rare(decoder, next >> 20, scaleB, sizeB) ^ flipB) - flipB;
          integers[place] = value;
          value = asNeighbour(value);
        }
        size = (value ^ (value >> 31)) - (value >> 31);
        sum = (sum + size) | 0;
        cornerB = upB;
        upB = rightB;
        leftB = ((size << 22) + value) | 0;
        line[x + 1] = leftB;
        meanB = (meanB + (((size << 10) - meanB) >> 4)) | 0;
      }
      {
        const rightC = line[x + 6];
        let twice = (leftC + upC) << 1;
        const expectedC = ((twice - cornerC) << 16) >> 16;
        const flipC = expectedC >> 31;
        const sizeC = (expectedC ^ flipC) - flipC;
        const aroundC = (twice + cornerC + rightC + 0x8000) >> 16;
        const scaleC = (rowScales[(aroundC + (meanC >> 3)) >> 3] + column) >> 9;
        const rightD = line[x + 7];
        twice = (leftD + upD) << 1;
        const expectedD = ((twice - cornerD) << 16) >> 16;
        const flipD = expectedD >> 31;
        const sizeD = (expectedD ^ flipD) - flipD;
        const aroundD = (twice + cornerD + rightD + 0x8000) >> 16;
        const scaleD = (rowScales[(aroundD + (meanD >> 3)) >> 3] + column) >> 9;
        const word = words[((scaleC << SCALE_LOG) + CLASS_STARTS[sizeC] + startC + c) | 0];
        const next = words[((scaleD << SCALE_LOG) + CLASS_STARTS[sizeD] + startD + d) | 0];
        let bits = view.getInt32(position >>> 3, true) >>> (position & 7);
        c = ((word >>> 6) & 0x3fff) + (bits & ~(-1 << word));
        bits >>>= word;
        d = ((next >>> 6) & 0x3fff) + (bits & ~(-1 << next));
        position = (position + ((word + next) & 31)) | 0;
        let value = ((word >> 20) ^ flipC) - flipC;
        place = (place + rowLength) | 0;
        integers[place] = value;
        if (word >> 20 >= ESCAPE) {
          value = (rare(decoder, word >> 20, scaleC, sizeC) ^ flipC) - flipC;
          integers[place] = value;
          value = asNeighbour(value);
        }
        let size = (value ^ (value >> 31)) - (value >> 31);
        sum = (sum + size) | 0;
        cornerC = upC;
        upC = rightC;
        leftC = ((size << 22) + value) | 0;
        line[x + 2] = leftC;
        meanC = (meanC + (((size << 10) - meanC) >> 4)) | 0;
        value = ((next >> 20) ^ flipD) - flipD;
        place = (place + rowLength) | 0;
        integers[place] = value;
        if (next >> 20 >= ESCAPE) {
          value = (rare(decoder, next >> 20, scaleD, sizeD) ^ flipD) - flipD;
          integers[place] = value;
          value = asNeighbour(value);
        }
        size = (value ^ (value >> 31)) - (value >> 31);
        sum = (sum + size) | 0;
        cornerD = upD;
        upD = rightD;
        leftD = ((size << 22) + value) | 0;
        line[x + 3] = leftD;
        meanD = (meanD + (((size << 10) - meanD) >> 4)) | 0;
      }
      let columnMean = columnMeans[j];
      columnMean = (columnMean + (Math.imul((sum << 8) - columnMean, rate) >> 6)) | 0;
      columnMeans[j] = columnMean;
      columnScales[j] = Math.imul(gain, LOGARITHMS[columnMean >> 4]);
    }
    y = y + 1 === kernelHeight ? 0 : y + 1;
  }
  states.set([a, b, c, d]);
  rowMeans.set([meanA, meanB, meanC, meanD]);
  decoder.position = position + 8 * origin;
}
