// safetensors: 8 bytes little-endian header size, a JSON header {name: {dtype, shape, data_offsets}}, raw tensors.
// Format: https://github.com/huggingface/safetensors (README, "Format"). Example: one F32 tensor [2] named "a" is
// 8 + 56 + 8 bytes: the size 56, `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}` padded with spaces, data.

/** Thrown when bytes are not a whole and consistent safetensors file. The message names the tensor at fault. */
export class SafetensorsError extends Error {
  override name = "SafetensorsError";
}

/** The element types read and written here. F16 and BF16 become Float32Array, BOOL becomes Uint8Array. */
export type SafetensorDtype = keyof typeof STORED;

/** Values of a tensor in row-major order. */
export type SafetensorValues =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** One tensor of a file: `values.length` is the product of `shape` (1 for a scalar, whose shape is []). */
export interface SafetensorEntry {
  dtype: SafetensorDtype;
  shape: number[];
  values: SafetensorValues;
}

/** A whole file. */
export interface Safetensors {
  tensors: Record<string, SafetensorEntry>;
  metadata: Record<string, string>;
}

// The array that holds a tensor's bytes as they are stored.
const STORED = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

// The reference implementation's limit; a real header is a few hundred bytes a tensor.
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Reads a safetensors file. Arrays are views of `bytes` where alignment allows, copies elsewhere, so a checkpoint
 * of half a gigabyte is not held twice.
 *
 * @throws {SafetensorsError} if the header is truncated, not JSON, or names an unknown dtype; if a size disagrees
 *   with its shape; if tensors overlap, leave a hole, or reach past the end.
 */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < 8) {
    throw new SafetensorsError(`A safetensors file has at least 8 bytes; this one has ${bytes.byteLength}.`);
  }
  const claimed = view.getBigUint64(0, true);
  if (claimed > BigInt(MAX_HEADER_BYTES) || claimed > BigInt(bytes.byteLength - 8)) {
    throw new SafetensorsError(
      `The header claims ${claimed} bytes; the file has ${bytes.byteLength - 8} after its size (limit ${MAX_HEADER_BYTES}). Truncated, or not a safetensors file.`,
    );
  }
  const start = 8 + Number(claimed);
  const header = parseHeader(bytes.subarray(8, start));
  const { __metadata__: metadata = {}, ...descriptions } = header;
  checkMetadata(metadata);

  const available = bytes.byteLength - start;
  const spans: { name: string; begin: number; end: number }[] = [];
  const entries: [string, SafetensorEntry][] = [];
  for (const [name, description] of Object.entries(descriptions)) {
    const { dtype, shape, begin, end } = checkDescription(name, description);
    if (end > available) {
      throw new SafetensorsError(
        `Tensor "${name}" ends at byte ${end} of the data, but the file has ${available}: it is truncated.`,
      );
    }
    spans.push({ name, begin, end });
    entries.push([name, { dtype, shape, values: readValues(bytes, start + begin, start + end, dtype) }]);
  }
  checkTiling(spans, available);
  return { tensors: Object.fromEntries(entries), metadata: metadata as Record<string, string> };
}

/**
 * Writes a safetensors file: tensors in the order given, sorted so that wider types come first (which keeps every
 * tensor aligned), values of F16 and BF16 rounded to nearest even from float32.
 *
 * @throws {RangeError} if the number of values differs from the product of the shape, or a name is reserved.
 * @throws {TypeError} if `values` is not of the array type of its dtype.
 */
export function writeSafetensors(
  tensors: Record<string, SafetensorEntry>,
  metadata: Record<string, string> = {},
): Uint8Array {
  for (const [name, { dtype }] of Object.entries(tensors)) {
    if (name === "__metadata__")
      throw new RangeError(`A tensor cannot be named "__metadata__": it is reserved.`);
    if (!Object.hasOwn(STORED, dtype)) throw new TypeError(`Tensor "${name}": unknown dtype ${dtype}.`);
  }
  const entries = Object.entries(tensors).sort(([, a], [, b]) => width(b.dtype) - width(a.dtype));
  const header: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let size = 0;
  for (const [name, { dtype, shape, values }] of entries) {
    const expected = product(shape);
    if (values.length !== expected) {
      throw new RangeError(
        `Tensor "${name}": shape [${shape}] needs ${expected} values, got ${values.length}.`,
      );
    }
    const end = size + expected * width(dtype);
    header.push([name, { dtype, shape, data_offsets: [size, end] }]);
    size = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const start = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(start + size);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.set(json, 8);
  bytes.fill(0x20, 8 + json.length, start);
  let offset = start;
  for (const [name, { dtype, values }] of entries) {
    const raw = storedValues(name, dtype, values);
    bytes.set(raw, offset);
    offset += raw.length;
  }
  return bytes;
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new SafetensorsError(`The header is not JSON: ${(error as Error).message}`);
  }
  if (!isRecord(header)) throw new SafetensorsError("The header is not a JSON object.");
  return header;
}

function checkMetadata(metadata: unknown): void {
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    throw new SafetensorsError(`"__metadata__" must map strings to strings.`);
  }
}

function checkDescription(name: string, description: unknown) {
  const { dtype, shape, data_offsets: offsets } = isRecord(description) ? description : {};
  if (typeof dtype !== "string" || !Object.hasOwn(STORED, dtype)) {
    throw new SafetensorsError(
      `Tensor "${name}" has dtype ${JSON.stringify(dtype)}; readable are ${Object.keys(STORED).join(", ")}.`,
    );
  }
  if (!isSizes(shape)) {
    throw new SafetensorsError(`Tensor "${name}" has shape ${JSON.stringify(shape)}, not an array of sizes.`);
  }
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw new SafetensorsError(
      `Tensor "${name}" has data_offsets ${JSON.stringify(offsets)}; expected [begin, end], begin <= end.`,
    );
  }
  const [begin, end] = offsets as [number, number];
  const expected = product(shape) * width(dtype as SafetensorDtype);
  if (end - begin !== expected) {
    throw new SafetensorsError(
      `Tensor "${name}": ${dtype} [${shape}] is ${expected} bytes, its data_offsets span ${end - begin}.`,
    );
  }
  return { dtype: dtype as SafetensorDtype, shape, begin, end };
}

// Tensors must cover the data exactly once. This also catches a name given twice: JSON.parse keeps the last, and
// the bytes of the first are then a hole.
function checkTiling(spans: { name: string; begin: number; end: number }[], available: number): void {
  let covered = 0;
  for (const { name, begin, end } of spans.sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < covered) throw new SafetensorsError(`Tensor "${name}" overlaps the tensor before it.`);
    if (begin > covered) {
      throw new SafetensorsError(
        `Bytes ${covered} to ${begin} of the data, before tensor "${name}", belong to none.`,
      );
    }
    covered = end;
  }
  if (covered !== available) {
    throw new SafetensorsError(`The tensors end at byte ${covered} of the data, the file at ${available}.`);
  }
}

function readValues(bytes: Uint8Array, begin: number, end: number, dtype: SafetensorDtype): SafetensorValues {
  const Stored = STORED[dtype];
  const aligned = (bytes.byteOffset + begin) % Stored.BYTES_PER_ELEMENT === 0;
  const raw = aligned ? bytes.subarray(begin, end) : new Uint8Array(bytes.subarray(begin, end));
  const stored = new Stored(
    raw.buffer as ArrayBuffer,
    raw.byteOffset,
    raw.byteLength / Stored.BYTES_PER_ELEMENT,
  );
  if (dtype === "F16") return floatFromHalf(stored as Uint16Array);
  if (dtype === "BF16") return floatFromBfloat(stored as Uint16Array);
  return stored;
}

function storedValues(name: string, dtype: SafetensorDtype, values: SafetensorValues): Uint8Array {
  const Expected = dtype === "F16" || dtype === "BF16" ? Float32Array : STORED[dtype];
  if (!(values instanceof Expected)) {
    throw new TypeError(
      `Tensor "${name}": ${dtype} takes a ${Expected.name}, got a ${values.constructor.name}.`,
    );
  }
  let stored: ArrayBufferView = values;
  if (dtype === "F16") stored = halfFromFloat(values as Float32Array);
  if (dtype === "BF16") stored = bfloatFromFloat(values as Float32Array);
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

// IEEE binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. 0x3c00 is 1, 0x0001 is 2^-24.
function floatFromHalf(bits: Uint16Array): Float32Array {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const sign = bits[i]! & 0x8000 ? -1 : 1;
    const exponent = (bits[i]! >> 10) & 0x1f;
    const fraction = bits[i]! & 0x3ff;
    if (exponent === 0x1f) values[i] = fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    else if (exponent === 0) values[i] = sign * fraction * 2 ** -24;
    else values[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return values;
}

function halfFromFloat(values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    const magnitude = Math.abs(value);
    if (Number.isNaN(value)) halves[i] = 0x7e00;
    // 65520 is half-way between the largest half, 65504, and the next power of two: it rounds to infinity.
    else if (magnitude >= 65520) halves[i] = sign | 0x7c00;
    else {
      // Adding the bits of exponent and fraction lets a fraction that rounds up carry into the exponent.
      const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
      const units = roundHalfEven(magnitude * 2 ** (10 - exponent));
      halves[i] = sign | (((exponent + 14) << 10) + units);
    }
  }
  return halves;
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

// bfloat16 is the upper half of a binary32: 0x3f80 is 1.
function floatFromBfloat(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  return new Float32Array(words.buffer);
}

function bfloatFromFloat(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.slice().buffer);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const word = words[i]!;
    // Half-way cases go to the even neighbour; a NaN must not round to infinity.
    if ((word & 0x7fffffff) > 0x7f800000) halves[i] = (word >>> 16) | 0x40;
    else halves[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return halves;
}

function width(dtype: SafetensorDtype): number {
  return STORED[dtype].BYTES_PER_ELEMENT;
}

function product(shape: readonly number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
