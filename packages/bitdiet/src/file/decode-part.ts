/**
 * The parts of a tensor to its values, or to its integers. Coders and rarer forms are loaded when a file names them: pages fetch no more
 * code than they need.
 *
 *     await decodePart(entry, checkedPart(bytes, entry.part))
 *     // { name: "conv1.weight", dtype: "float32", shape: [16, 3, 3, 3], values: Float32Array(432) }
 */
import type { Dtype } from "../model.js";
import type { TensorEntry } from "./entries.js";
import { failed, must } from "./errors.js";
import type { RowShape } from "./integer-rows.js";
import { integersOf, readBlocks, readIntegers } from "./integers.js";
import { readLossless } from "./lossless.js";
import { elementsOf, type Reader, readBytes } from "./numbers.js";
import { once } from "./once.js";
import type { CheckedPart } from "./parts.js";
import { allRows, type QuantizedTensor } from "./quantized-tensor.js";
import { type Rows, rowScatterer, rowsOf } from "./rows.js";
import { readSteps } from "./steps.js";

export interface DecodedTensor {
  name: string;
  /** What the values were when they were encoded. */
  dtype: Dtype;
  shape: number[];
  /** float32 for a quantized tensor, whatever its type was, and for float32; else the elements' bytes, little-endian. Row-major. */
  values: Float32Array | Uint8Array;
}

/** Where a large tensor may wait for what else its thread has to do. */
export type Pause = () => Promise<void>;

/**
 * @param part of the tensor that the entry is of
 * @param refinement second part of a tensor in two; without it the tensor is decoded coarsely
 * @param pause called every few thousand weights, where a coder decodes block by block
 * @throws {CorruptInputError} unless the part is exactly what its entry says
 */
export async function decodePart(
  entry: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
  pause?: Pause,
): Promise<DecodedTensor> {
  const { name, dtype, shape } = entry;
  const values = await valuesOf(entry, part, refinement, pause).catch(failed(`tensor "${name}"`));
  return { name, dtype, shape, values };
}

const integerTensor = /* @__PURE__ */ once(() => import("./integer-tensor.js"));

async function valuesOf(
  entry: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
  pause?: Pause,
): Promise<DecodedTensor["values"]> {
  const { dtype, shape, quantized, integers, size } = entry;
  if (quantized) return dequantized(entry, part, refinement, pause);
  if (integers) {
    const { readIntegerTensor } = await integerTensor();
    return readIntegerTensor(part, dtype, shape, integers);
  }
  const reader: Reader = { bytes: part, position: 0 };
  const exact = await readLossless(reader, dtype, size, shape);
  must(reader.position === part.length);
  return dtype === "float32" ? new Float32Array(exact.buffer) : exact;
}

/**
 * The integers and steps themselves, for tools that look at them.
 *
 * @throws {CorruptInputError} as `decodePart`; {RangeError} if the tensor is not quantized
 */
export async function decodeQuantizedPart(
  entry: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
): Promise<QuantizedTensor> {
  const { quantized, name, shape } = entry;
  if (!quantized) throw new RangeError(`entry: expected a quantized tensor, got "${name}"`);
  const read = async () => {
    const start = await readStart(entry, part);
    return { steps: start.steps, integers: await readAll(start, refinement) };
  };
  const { integers, steps } = await read().catch(failed(`tensor "${name}"`));
  const rows = shape[quantized.axis] ?? 1;
  const all = allRows(integersOf(integers), elementsOf(shape), rows, steps);
  return { shape, integers: all, axis: quantized.axis, steps };
}

async function dequantized(
  entry: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
  pause?: Pause,
): Promise<Float32Array> {
  const start = await readStart(entry, part);
  const { count, lie, coded, coder } = start;
  // Nothing is allocated before the bytes are enough for it.
  const blocks = refinement
    ? [{ row: 0, from: 0, columns: lie.rowLength, integers: await readAll(start, refinement) }]
    : await readBlocks(coded, count, coder, lie);
  const values = new Float32Array(entry.size / 4);
  const scatter = rowScatterer(values, start.layout, factorsOf(start, refinement !== undefined));
  for (const block of blocks) {
    scatter(block);
    if (pause) await pause();
  }
  return values;
}

/** One per row. */
function factorsOf({ steps, layout, refined }: Start, isRefined: boolean): Float64Array {
  const coarse = refined && !isRefined ? 2 ** refined.bits : 1;
  const factors = new Float64Array(layout.extents[0]).fill(steps[0] * coarse);
  if (steps.length > 1) for (let row = 0; row < factors.length; row++) factors[row] = steps[row] * coarse;
  return factors;
}

/** What a quantized tensor's first part is: steps, and the integers of rows that have one, as coded. */
interface Start {
  /** 1, or one per row. */
  steps: Float32Array;
  layout: Rows;
  /** Of integers, and how they lie. */
  count: number;
  lie: RowShape;
  coder: number;
  coded: Uint8Array;
  refined: NonNullable<TensorEntry["quantized"]>["refinement"];
}

async function readStart({ shape, quantized }: TensorEntry, part: CheckedPart): Promise<Start> {
  const { axis, perRow, coder, refinement: refined } = quantized as NonNullable<typeof quantized>;
  const reader: Reader = { bytes: part, position: 0 };
  const layout = rowsOf(shape, axis);
  const [rows, middle, inner] = layout.extents;
  const rowLength = middle * inner;
  const steps = await readSteps(reader, perRow ? rows : 1);
  const kept = steps.filter((step) => step > 0).length * (perRow ? 1 : rows);
  const coded = readBytes(reader, part.length - reader.position);
  return {
    steps,
    layout,
    count: kept * rowLength,
    lie: { rowLength, kernel: layout.kernel },
    coder,
    coded,
    refined,
  };
}

/** Row by row, those that are kept; bytes are integers as zigzag.ts writes them. */
async function readAll(
  { count, lie, coder, coded, refined }: Start,
  refinement?: CheckedPart,
): Promise<Int32Array | Uint8Array> {
  const integers = await readIntegers(coded, count, coder, lie);
  if (!refined || !refinement) return integers;
  const residual = integersOf(await readIntegers(refinement, count, refined.coder, lie));
  return refinedBy(integersOf(integers), residual, refined.bits);
}

function refinedBy(coarse: Int32Array, residual: Int32Array, bits: number): Int32Array {
  return coarse.map((integer, i) => {
    const fine = integer * 2 ** bits + residual[i];
    must(Math.abs(fine) < 2 ** 31);
    return fine;
  });
}
