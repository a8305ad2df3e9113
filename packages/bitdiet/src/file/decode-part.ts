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
import { integersOf, readIntegers } from "./integers.js";
import { readLossless } from "./lossless.js";
import { elementsOf, type Reader, readBytes } from "./numbers.js";
import { once } from "./once.js";
import type { CheckedPart } from "./parts.js";
import { allRows, type QuantizedTensor } from "./quantized-tensor.js";
import { rowsOf, scatterRows } from "./rows.js";
import { readSteps } from "./steps.js";

export interface DecodedTensor {
  name: string;
  /** What the values were when they were encoded. */
  dtype: Dtype;
  shape: number[];
  /** float32 for a quantized tensor, whatever its type was, and for float32; else the elements' bytes, little-endian. Row-major. */
  values: Float32Array | Uint8Array;
}

/**
 * @param part of the tensor that the entry is of
 * @param refinement second part of a tensor in two; without it the tensor is decoded coarsely
 * @throws {CorruptInputError} unless the part is exactly what its entry says
 */
export async function decodePart(
  entry: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
): Promise<DecodedTensor> {
  const { name, dtype, shape } = entry;
  const values = await valuesOf(entry, part, refinement).catch(failed(`tensor "${name}"`));
  return { name, dtype, shape, values };
}

const integerTensor = /* @__PURE__ */ once(() => import("./integer-tensor.js"));

async function valuesOf(
  entry: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
): Promise<DecodedTensor["values"]> {
  const { dtype, shape, quantized, integers, size } = entry;
  if (quantized) return dequantized(entry, part, refinement);
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
  const { integers, steps } = await readQuantized(entry, part, refinement).catch(failed(`tensor "${name}"`));
  const rows = shape[quantized.axis] ?? 1;
  const all = allRows(integersOf(integers), elementsOf(shape), rows, steps);
  return { shape, integers: all, axis: quantized.axis, steps };
}

async function dequantized(
  entry: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
): Promise<Float32Array> {
  const { axis, refinement: refined } = entry.quantized as NonNullable<TensorEntry["quantized"]>;
  const { integers, steps } = await readQuantized(entry, part, refinement);
  const coarse = refined && !refinement ? 2 ** refined.bits : 1;
  const layout = rowsOf(entry.shape, axis);
  const factors = new Float64Array(layout.extents[0]).fill(steps[0] * coarse);
  if (steps.length > 1) for (let row = 0; row < factors.length; row++) factors[row] = steps[row] * coarse;
  return scatterRows(new Float32Array(entry.size / 4), integers, layout, factors);
}

interface Quantized {
  /** Row by row, those that are kept; bytes are integers as zigzag.ts writes them. */
  integers: Int32Array | Uint8Array;
  /** 1, or one per row. */
  steps: Float32Array;
}

/** steps · integers */
async function readQuantized(
  { shape, quantized }: TensorEntry,
  part: CheckedPart,
  refinement?: CheckedPart,
): Promise<Quantized> {
  const { axis, perRow, coder, refinement: refined } = quantized as NonNullable<typeof quantized>;
  const reader: Reader = { bytes: part, position: 0 };
  const layout = rowsOf(shape, axis);
  const [rows, middle, inner] = layout.extents;
  const rowLength = middle * inner;
  const steps = await readSteps(reader, perRow ? rows : 1);
  const count = steps.filter((step) => step > 0).length * (perRow ? 1 : rows) * rowLength;
  const lie = { rowLength, kernel: layout.kernel };
  const rest = readBytes(reader, part.length - reader.position);
  const integers = await readIntegers(rest, count, coder, lie);
  if (!refined || !refinement) return { integers, steps };
  const residual = integersOf(await readIntegers(refinement, count, refined.coder, lie));
  return { integers: refinedBy(integersOf(integers), residual, refined.bits), steps };
}

function refinedBy(coarse: Int32Array, residual: Int32Array, bits: number): Int32Array {
  return coarse.map((integer, i) => {
    const fine = integer * 2 ** bits + residual[i];
    must(Math.abs(fine) < 2 ** 31);
    return fine;
  });
}
