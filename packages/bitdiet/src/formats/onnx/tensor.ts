/**
 * A tensor of an ONNX file: what it is, and its numbers from whichever field has them: as raw bytes, packed, or one by one.
 *
 *     const tensor = onnxTensor(message); // { name: "w", shape: [8, 3, 3, 3], dtype: "float32", ... }
 *     inlineData(tensor)?.bytes;          // 864 bytes, little-endian; undefined if they lie in another file
 */
import { joinPieces } from "../../loaders/source.js";
import { type Dtype, dtypeBits, elementCount, ModelFileError, tensorBytes } from "../../model.js";
import {
  fieldsOf,
  grouped,
  integer,
  integers,
  LENGTH_DELIMITED,
  tagBytes,
  text,
  varintBytes,
  varintsOf,
} from "../protobuf.js";

export interface OnnxTensor {
  name: string;
  shape: number[];
  /** Absent of types that this package does not know. */
  dtype?: Dtype;
  /** Place in `Model.tensors` of the tensor that has the numbers, in a graph whose numbers are kept apart. */
  place?: number;
  /** Stretch of a file beside the model that has the numbers. */
  external?: { location: string; offset: number; length?: number };
  /** The whole message; a view of the file. */
  message: Uint8Array;
}

/** TensorProto.DataType, by its numbers. */
export const dtypes: Readonly<Record<number, Dtype>> = {
  1: "float32",
  2: "uint8",
  3: "int8",
  4: "uint16",
  5: "int16",
  6: "int32",
  7: "int64",
  8: "string",
  9: "bool",
  10: "float16",
  11: "float64",
  12: "uint32",
  13: "uint64",
  14: "complex64",
  15: "complex128",
  16: "bfloat16",
  17: "float8_e4m3",
  18: "float8_e4m3fnuz",
  19: "float8_e5m2",
  20: "float8_e5m2fnuz",
  21: "uint4",
  22: "int4",
  23: "float4_e2m1",
  24: "float8_e8m0",
  25: "uint2",
  26: "int2",
};

export const RAW_DATA = 9;
export const EXTERNAL_DATA = 13;
export const DATA_LOCATION = 14;
const EXTERNAL = 1;

/** Field that stands for numbers kept apart: the last number that protobuf has. Its value: 4 × the tensor's place + encoding. */
export const HOLE = 2 ** 29 - 1;

/** @throws {ModelFileError} if its shape or its place in another file is none */
export function onnxTensor(message: Uint8Array): OnnxTensor {
  const fields = grouped(message);
  const tensor: OnnxTensor = {
    name: text(fields(8)),
    shape: integers(fields(1)),
    dtype: dtypes[integer(fields(2)) ?? 0],
    message,
  };
  if (!tensor.shape.every((extent) => extent >= 0) || !(elementCount(tensor.shape) * 16 < 2 ** 53))
    throw new ModelFileError(`${tensor.name}: no shape: [${tensor.shape}]`);
  const hole = integer(fields(HOLE));
  if (hole !== undefined) tensor.place = Math.floor(hole / encodings.length);
  if (integer(fields(DATA_LOCATION)) !== EXTERNAL) return tensor;
  const entries = new Map(
    fields(EXTERNAL_DATA).map(({ payload }) => {
      const entry = grouped(payload);
      return [text(entry(1)), text(entry(2))];
    }),
  );
  const location = entries.get("location");
  const [offset, length] = ["offset", "length"].map((key) => entries.has(key) && Number(entries.get(key)));
  if (!location) throw new ModelFileError(`${tensor.name}: external data without a location`);
  for (const number of [offset, length])
    if (number !== false && !(Number.isSafeInteger(number) && number >= 0))
      throw new ModelFileError(`${tensor.name}: external data at ${offset}, ${length} bytes`);
  tensor.external = { location, offset: offset || 0, length: length === false ? undefined : length };
  return tensor;
}

/** How a message has numbers: raw bytes, packed floats, packed varints, or a field for each number. */
export const encodings = ["raw", "packed", "varints", "each"] as const;
export type Encoding = (typeof encodings)[number];

/** Numbers as they stand in a message: little-endian elements, and the field that holds them. */
export interface InlineData {
  bytes: Uint8Array;
  encoding: Encoding;
  /** Number of the field. */
  id: number;
}

/** Numbers that a tensor's message holds; undefined if it has none, or strings, or not as many as its shape says. */
export function inlineData({ message, dtype, shape }: OnnxTensor): InlineData | undefined {
  if (dtype === undefined || dtype === "string") return undefined;
  const raw = listData(message, RAW_DATA, "uint8");
  const data = raw && raw.bytes.length > 0 ? raw : listData(message, typedField(dtype), dtype);
  return data?.bytes.length === tensorBytes(dtype, shape) ? data : undefined;
}

/** The field that has a tensor's numbers where they are not raw bytes. */
export function typedField(dtype: Dtype): number {
  if (dtype === "float32" || dtype === "complex64") return 4;
  if (dtype === "float64" || dtype === "complex128") return 10;
  if (dtype === "int64") return 7;
  return dtype === "uint64" || dtype === "uint32" ? 11 : 5;
}

/** A repeated field of numbers as little-endian elements; undefined if it is absent. */
export function listData(message: Uint8Array, id: number, dtype: Dtype): InlineData | undefined {
  const fields = fieldsOf(message).filter((field) => field.id === id);
  if (fields.length === 0) return undefined;
  const isPacked = fields.length === 1 && fields[0].wire === LENGTH_DELIMITED;
  if (id === RAW_DATA) return isPacked ? { bytes: fields[0].payload, encoding: "raw", id } : undefined;
  const payload = isPacked ? fields[0].payload : joinPieces(fields.map((field) => field.payload));
  const isFixed = isFixedWidth(dtype);
  return {
    bytes: isFixed ? payload : narrowed(varintsOf(payload), dtype),
    encoding: isPacked ? (isFixed ? "packed" : "varints") : "each",
    id,
  };
}

/** Whether a type's numbers are floats in typed fields; all others are varints there. */
const isFixedWidth = (dtype: Dtype) =>
  dtype === "float32" || dtype === "float64" || dtype === "complex64" || dtype === "complex128";

/** Elements of a type from the numbers of a field; elements of less than a byte stand there as the bytes that they share. */
function narrowed(values: bigint[], dtype: Dtype): Uint8Array {
  const width = Math.max(8, dtypeBits[dtype]);
  if (width === 64) return new Uint8Array(BigInt64Array.from(values).buffer);
  const numbers = values.map(Number);
  if (width === 8) return Uint8Array.from(numbers);
  return new Uint8Array((width === 16 ? Uint16Array : Uint32Array).from(numbers).buffer as ArrayBuffer);
}

/** The fields that hold these elements: what `listData` has read, if it was written as protobuf libraries do. */
export function dataFields(
  { encoding, id }: Omit<InlineData, "bytes">,
  dtype: Dtype,
  bytes: Uint8Array,
): Uint8Array[] {
  if (encoding === "raw" || encoding === "packed")
    return [Uint8Array.of(...tagBytes(id, LENGTH_DELIMITED), ...varintBytes(bytes.length)), bytes];
  if (encoding === "each" && isFixedWidth(dtype)) {
    const width = id === 10 ? 8 : 4;
    const tag = tagBytes(id, width === 8 ? 1 : 5);
    const fields = new Uint8Array((bytes.length / width) * (width + tag.length));
    for (let from = 0, at = 0; from < bytes.length; from += width, at += width + tag.length) {
      fields.set(tag, at);
      fields.set(bytes.subarray(from, from + width), at + tag.length);
    }
    return [fields];
  }
  const tag = encoding === "each" ? tagBytes(id, 0) : [];
  const payload: number[] = [];
  for (const value of widened(bytes, dtype)) {
    for (const byte of tag) payload.push(byte);
    for (const byte of varintBytes(value)) payload.push(byte);
  }
  const packed = Uint8Array.from(payload);
  if (encoding === "each") return [packed];
  return [Uint8Array.of(...tagBytes(id, LENGTH_DELIMITED), ...varintBytes(packed.length)), packed];
}

/** Elements as the numbers that a field of varints has for them. */
function widened(bytes: Uint8Array, dtype: Dtype): Iterable<number | bigint> {
  const { buffer } = bytes.slice();
  if (dtype === "int64") return new BigInt64Array(buffer);
  if (dtype === "uint64") return new BigUint64Array(buffer);
  if (dtype === "int32") return new Int32Array(buffer);
  if (dtype === "uint32") return new Uint32Array(buffer);
  if (dtype === "int16") return new Int16Array(buffer);
  if (dtype === "int8") return new Int8Array(buffer);
  return dtypeBits[dtype] === 16 ? new Uint16Array(buffer) : new Uint8Array(buffer);
}
