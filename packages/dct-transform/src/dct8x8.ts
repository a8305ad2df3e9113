/**
 * The two-dimensional orthonormal DCT of 8 × 8 blocks, columns then rows, each length-8 transform split into its even and
 * odd half (Chen, Smith and Fralick, "A fast computational algorithm for the discrete cosine transform", 1977).
 *
 * A block of ones has one coefficient, the first: 8.
 */
import { checkRows } from "./check.js";

/** c_k = cos(πk/16)/2, the only constants there are; c_4 = √(1/8) scales the mean. */
const c1 = Math.cos(Math.PI / 16) / 2;
const c2 = Math.cos(Math.PI / 8) / 2;
const c3 = Math.cos((3 * Math.PI) / 16) / 2;
const c4 = Math.SQRT1_2 / 2;
const c5 = Math.sin((3 * Math.PI) / 16) / 2;
const c6 = Math.sin(Math.PI / 8) / 2;
const c7 = Math.sin(Math.PI / 16) / 2;

/** What the first pass leaves for the second: float32 as input and output are, so that one kernel serves both at full speed. */
const scratch = new Float32Array(64);

/**
 * @param blocks count × 64 values, each block row-major
 * @returns count × 64 coefficients: vertical frequency by row, horizontal by column
 * @throws {TypeError} where `blocks` is no Float32Array, RangeError where it does not hold whole blocks
 */
export function dct8x8(blocks: Float32Array): Float32Array {
  checkRows("blocks", blocks, 64);
  const output = new Float32Array(blocks.length);
  for (let offset = 0; offset < blocks.length; offset += 64) {
    analyse(blocks, offset, scratch, 0);
    analyse(scratch, 0, output, offset);
  }
  return output;
}

/** The inverse of `dct8x8`. Shapes and errors as there. */
export function idct8x8(blocks: Float32Array): Float32Array {
  checkRows("blocks", blocks, 64);
  const output = new Float32Array(blocks.length);
  for (let offset = 0; offset < blocks.length; offset += 64) {
    synthesise(blocks, offset, scratch, 0);
    synthesise(scratch, 0, output, offset);
  }
  return output;
}

/** The transform of each column, written as a row: two calls transform both ways and end as they began. */
function analyse(input: Float32Array, from: number, output: Float32Array, to: number): void {
  for (let p = from, o = to; p < from + 8; p++, o += 8) {
    const x0 = input[p];
    const x1 = input[p + 8];
    const x2 = input[p + 16];
    const x3 = input[p + 24];
    const x4 = input[p + 32];
    const x5 = input[p + 40];
    const x6 = input[p + 48];
    const x7 = input[p + 56];
    const s0 = x0 + x7;
    const s1 = x1 + x6;
    const s2 = x2 + x5;
    const s3 = x3 + x4;
    const d0 = x0 - x7;
    const d1 = x1 - x6;
    const d2 = x2 - x5;
    const d3 = x3 - x4;
    const e0 = s0 + s3;
    const e1 = s1 + s2;
    const f0 = s0 - s3;
    const f1 = s1 - s2;
    output[o] = (e0 + e1) * c4;
    output[o + 1] = d0 * c1 + d1 * c3 + d2 * c5 + d3 * c7;
    output[o + 2] = f0 * c2 + f1 * c6;
    output[o + 3] = d0 * c3 - d1 * c7 - d2 * c1 - d3 * c5;
    output[o + 4] = (e0 - e1) * c4;
    output[o + 5] = d0 * c5 - d1 * c1 + d2 * c7 + d3 * c3;
    output[o + 6] = f0 * c6 - f1 * c2;
    output[o + 7] = d0 * c7 - d1 * c5 + d2 * c3 - d3 * c1;
  }
}

function synthesise(input: Float32Array, from: number, output: Float32Array, to: number): void {
  for (let p = from, o = to; p < from + 8; p++, o += 8) {
    const y0 = input[p];
    const y1 = input[p + 8];
    const y2 = input[p + 16];
    const y3 = input[p + 24];
    const y4 = input[p + 32];
    const y5 = input[p + 40];
    const y6 = input[p + 48];
    const y7 = input[p + 56];
    const e0 = (y0 + y4) * c4;
    const e1 = (y0 - y4) * c4;
    const f0 = y2 * c2 + y6 * c6;
    const f1 = y2 * c6 - y6 * c2;
    const s0 = e0 + f0;
    const s1 = e1 + f1;
    const s2 = e1 - f1;
    const s3 = e0 - f0;
    const d0 = y1 * c1 + y3 * c3 + y5 * c5 + y7 * c7;
    const d1 = y1 * c3 - y3 * c7 - y5 * c1 - y7 * c5;
    const d2 = y1 * c5 - y3 * c1 + y5 * c7 + y7 * c3;
    const d3 = y1 * c7 - y3 * c5 + y5 * c3 - y7 * c1;
    output[o] = s0 + d0;
    output[o + 1] = s1 + d1;
    output[o + 2] = s2 + d2;
    output[o + 3] = s3 + d3;
    output[o + 4] = s3 - d3;
    output[o + 5] = s2 - d2;
    output[o + 6] = s1 - d1;
    output[o + 7] = s0 - d0;
  }
}
