/**
 * One part of a file to what it holds: a tensor, its integers, or a piece of metadata.
 *
 *     decodeTensor(bytes, readHeader(bytes).tensors[0])
 *     // { name: "conv1.weight", dtype: "float32", shape: [16, 3, 3, 3], values: Float32Array(432) }
 */
import { decodeBytes } from "@bitdiet/ans";
import type { Dtype } from "../model.js";
import { must, named } from "./errors.js";
import type { MetadataEntry, TensorEntry } from "./header.js";
import { decodeLossless } from "./lossless.js";
import {
  checkedPart,
  checkSize,
  cutOut,
  type DecodeLimits,
  limitOf,
  partsOf,
  type TensorParts,
} from "./parts.js";
import { readQuantized, type Synthesis, transformSize } from "./read-integers.js";
import { rowsOf, scatterRows } from "./rows.js";
import { decodeText } from "./text.js";

export interface DecodedTensor {
  name: string;
  /** Of the tensor that was encoded. */
  dtype: Dtype;
  shape: number[];
  /** float32 for a quantized tensor, whatever its type was, and for float32; else the elements' bytes, little-endian. Row-major. */
  values: Float32Array | Uint8Array;
}

export interface DecodedMetadata {
  name: string;
  bytes: Uint8Array;
}

/**
 * One tensor of a file, of which its own parts must be there.
 *
 * @throws {CorruptInputError} if they are not, a hash does not fit, or the tensor is larger than `maxBytes`
 */
export function decodeTensor(
  bytes: Uint8Array,
  entry: TensorEntry,
  limits: DecodeLimits = {},
): DecodedTensor {
  return decodeParts(entry, partsOf(bytes, entry), { maxBytes: limitOf(limits, bytes.length) });
}

/** The same from the parts alone: for those who fetched them, and for workers. */
export function decodeParts(
  entry: TensorEntry,
  parts: TensorParts,
  limits: DecodeLimits = {},
): DecodedTensor {
  const { name, dtype, shape, quantized, size } = entry;
  return named(`tensor "${name}"`, () => {
    checkSize(size + transformSize(entry), limits, parts.bytes.length);
    if (quantized) return { name, dtype, shape, values: dequantized(entry, parts) };
    const reader = { bytes: checkedPart(parts.bytes, entry.part), position: 0 };
    const exact = decodeLossless(reader, dtype, size);
    must(reader.position === parts.bytes.length);
    const values = dtype === "float32" ? new Float32Array(exact.buffer) : exact;
    return { name, dtype, shape, values };
  });
}

function dequantized(entry: TensorEntry, parts: TensorParts): Float32Array {
  const { axis, refinement } = entry.quantized as NonNullable<TensorEntry["quantized"]>;
  const { integers, steps, transform } = readQuantized(entry, parts);
  const coarse = refinement && !parts.refinement ? 2 ** refinement.bits : 1;
  const layout = rowsOf(entry.shape, axis);
  const [rows, middle, inner] = layout.extents;
  const factors = new Float64Array(rows).map((_, row) => (steps[row] ?? steps[0]) * coarse);
  const values = new Float32Array(entry.size / 4);
  if (!transform) return scatterRows(values, integers, layout, factors);
  const length = ((middle * inner) / transform.size) * transform.rows;
  const coefficients = new Float32Array(rows * length);
  scatterRows(coefficients, integers, rowsOf([rows, length], 0), factors);
  return scatterRows(values, synthesized(coefficients, transform), layout, factors.fill(1));
}

/** Each sample is the mean plus the sum of the coefficients' vectors, in float64. */
function synthesized(coefficients: Float32Array, { rows, size, floats, offset }: Synthesis): Float32Array {
  const values = new Float32Array((coefficients.length / rows) * size);
  for (let at = 0, from = 0; at < values.length; at += size, from += rows) {
    for (let i = 0; i < size; i++) {
      let sum = offset && floats[i];
      for (let k = 0; k < rows; k++) sum += coefficients[from + k] * floats[offset + k * size + i];
      values[at + i] = sum;
    }
  }
  return values;
}

/** One piece of metadata of a file. @throws {CorruptInputError} as `decodeTensor` */
export function decodeMetadata(
  bytes: Uint8Array,
  entry: MetadataEntry,
  limits: DecodeLimits = {},
): DecodedMetadata {
  const { name, size, coding, part } = entry;
  return named(`metadata "${name}"`, () => {
    checkSize(size, limits, bytes.length);
    const coded = checkedPart(cutOut(bytes, part), part);
    const decoded =
      coding === 0 ? new Uint8Array(coded) : (coding === 1 ? decodeText : decodeBytes)(coded, size);
    must(decoded.length === size);
    return { name, bytes: decoded };
  });
}
