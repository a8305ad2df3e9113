/**
 * Bytes against how far outputs are off, for every way to choose integers, beside what people do without this program.
 *
 *     const points = await curve(model, check, candidates, progress);
 *     points[0]; // { series: "calibration data", setting: "quality 25", bytes: 81_402, divergence: 0.21 }
 */
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { compressToPieces } from "../compress.js";
import { type Candidate, type OutputCheck, weightsOnly } from "../compress-checked.js";
import { rowsOf, toRows } from "../file/rows.js";
import { floatBytes, floatValues } from "../formats/floats.js";
import { channelAxis, type FloatDtype, type Model, type ModelTensor } from "../model.js";
import type { Progress } from "./print.js";

export interface CurvePoint {
  /** What points that belong together have in common. */
  series: string;
  setting: string;
  bytes: number;
  divergence: number;
}

const QUALITIES = [25, 40, 55, 70, 85];
const PLAIN_BITS = [8, 6, 4];
export const PLAIN = "one step a channel + brotli -q 11";

/** @param candidates as for `compressChecked`; the weights alone are among them or come last */
export async function curve(
  model: Model,
  { judge }: OutputCheck,
  candidates: readonly Candidate[],
  progress: Progress,
): Promise<CurvePoint[]> {
  const alone = weightsOnly(model);
  const all = candidates.some(({ name }) => name === alone.name) ? candidates : [...candidates, alone];
  const points: CurvePoint[] = [];
  for (const { name, quantize } of all) {
    for (const [i, quality] of QUALITIES.entries()) {
      progress.step(`curve: ${name}`, i, QUALITIES.length);
      const { report } = await compressToPieces(model, { quality }, { quantize, judge });
      const { bytes, divergence } = report;
      points.push({ series: name, setting: `quality ${quality}`, bytes, divergence: divergence!.value });
    }
  }
  for (const bits of PLAIN_BITS) {
    const { bytes, decoded } = await plainModel(model, bits);
    const { value } = await judge(decoded);
    points.push({ series: PLAIN, setting: `int${bits}`, bytes, divergence: value });
  }
  return points;
}

/** Symmetric integers, the largest magnitude of each channel at the last one, a byte each, by brotli at its best. */
async function plainModel(model: Model, bits: number): Promise<{ bytes: number; decoded: Model }> {
  const stored: Uint8Array[] = Object.values(model.metadata);
  const tensors: ModelTensor[] = [];
  for (const tensor of model.tensors) {
    const axis = channelAxis(tensor);
    const original = await tensor.bytes();
    if (axis === undefined) {
      stored.push(original);
      tensors.push(tensor);
      continue;
    }
    const { codes, steps, values } = rounded(
      floatValues(tensor.dtype as FloatDtype, original),
      tensor.shape,
      axis,
      bits,
    );
    stored.push(new Uint8Array(codes.buffer), new Uint8Array(steps.buffer));
    const bytes = floatBytes(tensor.dtype as FloatDtype, values);
    tensors.push({ ...tensor, bytes: async () => bytes });
  }
  const all = Buffer.concat(stored);
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: all.length,
  };
  const { length } = await promisify(brotliCompress)(all, { params });
  return { bytes: length, decoded: { ...model, tensors } };
}

function rounded(original: Float32Array, shape: readonly number[], axis: number, bits: number) {
  const inRows = toRows(original, shape, axis);
  const { extents, strides } = rowsOf(shape, axis);
  const [rows, middle, inner] = extents;
  const codes = new Int8Array(inRows.length);
  const steps = new Float32Array(rows);
  const values = new Float32Array(inRows.length);
  for (let r = 0, i = 0; r < rows; r++) {
    const row = inRows.subarray(i, i + middle * inner);
    steps[r] = row.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / (2 ** (bits - 1) - 1) || 1;
    for (let j = 0; j < middle; j++) {
      for (let l = 0; l < inner; l++, i++) {
        codes[i] = Math.round(inRows[i] / steps[r]);
        values[r * strides[0] + j * strides[1] + l * strides[2]] = codes[i] * steps[r];
      }
    }
  }
  return { codes, steps, values };
}
