/**
 * Values bit by bit as they are. FORMAT.md, "Lossless tensors".
 *
 *     0 · the bytes                                as they are
 *     p · (stride and coder · bytes) p times       planes: one of all bytes, or one of each element's first bytes, of its second …
 *     254 · signs · one of the other forms         floats' signs apart from magnitudes, which come again where signs do not
 *     255 · count · values · indices               few different values, and which of them each element is, both of one of the forms above
 *
 * With a stride s each byte of a plane is what it differs by from the one s before: of index tables, grids and smooth curves
 * little is left. Signs of float32, float16 and bfloat16 go from the front to the end, so that an exponent is one byte:
 *
 *     float32 1.0 = 3f 80 00 00, turned left by a bit: 7f 00 00 00   exponent 127, no mantissa, no sign
 */
import { encodedBits } from "@bitdiet/ans";
import { type Dtype, dtypeBits, isFloat } from "../model.js";
import { ANS, packBytes, unpackBytes } from "./byte-coders.js";
import { must } from "./errors.js";
import { blockOf, join, type Reader, readBlock, readBytes, readNumber, writeNumber } from "./numbers.js";
import { indexWidth, MAX_VALUES, paletteOf } from "./palette.js";

const CODERS = 8;

/** Bytes of an element, 1 where elements share bytes. */
const widthOf = (dtype: Dtype): number => Math.max(1, dtypeBits[dtype] >> 3);

const [SIGNS, PALETTE] = [254, 255];

/**
 * @param size bytes of the decoded tensor, which the caller has found acceptable
 * @throws {CorruptInputError} unless the next bytes are a tensor of this size
 */
export function readLossless(reader: Reader, dtype: Dtype, size: number): Uint8Array<ArrayBuffer> {
  const form = readBytes(reader, 1)[0];
  return form === SIGNS ? readSigns(reader, dtype, size) : readForm(reader, form, dtype, size);
}

function readForm(reader: Reader, form: number, dtype: Dtype, size: number): Uint8Array<ArrayBuffer> {
  return form === PALETTE ? readPalette(reader, dtype, size) : readPlanes(reader, form, dtype, size);
}

function readSigns(reader: Reader, dtype: Dtype, size: number): Uint8Array<ArrayBuffer> {
  const width = widthOf(dtype);
  must(size % width === 0);
  const coder = readNumber(reader);
  const signs = unpackBytes(coder, readBlock(reader), Math.ceil(size / width / 8));
  const bytes = readForm(reader, readBytes(reader, 1)[0], dtype, size);
  for (let i = 0, at = width - 1; at < size; i++, at += width)
    bytes[at] ^= ((signs[i >> 3] >> (i & 7)) & 1) << 7;
  return bytes;
}

function readPalette(reader: Reader, dtype: Dtype, size: number): Uint8Array<ArrayBuffer> {
  const width = widthOf(dtype);
  const count = readNumber(reader);
  must(count > 0 && count <= MAX_VALUES && count * width <= size && size % width === 0);
  const values = readPlanes(reader, readBytes(reader, 1)[0], dtype, count * width);
  const kind = indexDtype(count);
  const bytes = readPlanes(reader, readBytes(reader, 1)[0], kind, (size / width) * indexWidth(count));
  const found = new Uint8Array(size);
  for (let i = 0, at = 0; at < size; i++, at += width) {
    const index = kind === "uint8" ? bytes[i] : bytes[2 * i] | (bytes[2 * i + 1] << 8);
    must(index < count);
    for (let k = 0; k < width; k++) found[at + k] = values[index * width + k];
  }
  return found;
}

const indexDtype = (count: number): Dtype => (indexWidth(count) === 1 ? "uint8" : "uint16");

function readPlanes(reader: Reader, planes: number, dtype: Dtype, size: number): Uint8Array<ArrayBuffer> {
  if (planes === 0) return new Uint8Array(readBytes(reader, size));
  const width = widthOf(dtype);
  must((planes === 1 || planes === width) && size % planes === 0);
  const count = size / planes;
  const coded = Array.from({ length: planes }, () => ({
    kind: readNumber(reader),
    bytes: readBlock(reader),
  }));
  const unpacked = coded.map(({ kind, bytes }) => unpackBytes(kind % CODERS, bytes, count));
  const values = new Uint8Array(size);
  coded.forEach(({ kind }, k) => {
    const plane = unpacked[k];
    const stride = Math.floor(kind / CODERS);
    const back = stride * planes;
    for (let i = 0, at = k; i < count; i++, at += planes)
      values[at] = stride > 0 && i >= stride ? plane[i] + values[at - back] : plane[i];
  });
  if (planes === width) turn(values, dtype, 1);
  return values;
}

/** @param bytes little-endian elements of this type @param shape whose last extent may be a period of the values */
export function writeLossless(bytes: Uint8Array, dtype: Dtype, shape: readonly number[] = []): Uint8Array {
  const row = shape.at(-1) ?? 1;
  const isRepetitive = repeats(bytes, widthOf(dtype));
  const whole = writeForm(bytes, dtype, row, isRepetitive);
  const apart = isRepetitive && isFloat(dtype) ? writeSigns(bytes, dtype, row) : undefined;
  return apart ? shorter(whole, apart) : whole;
}

/** Rows of a Fourier basis are those of others but for signs. */
function writeSigns(bytes: Uint8Array, dtype: Dtype, row: number): Uint8Array | undefined {
  const width = widthOf(dtype);
  const magnitudes = new Uint8Array(bytes);
  const signs = new Uint8Array(Math.ceil(bytes.length / width / 8));
  for (let i = 0, at = width - 1; at < bytes.length; i++, at += width) {
    signs[i >> 3] |= (bytes[at] >> 7) << (i & 7);
    magnitudes[at] &= 127;
  }
  if (signs.every((byte) => byte === 0)) return undefined;
  const packed = packBytes(signs);
  const start: number[] = [SIGNS];
  writeNumber(start, packed.coder);
  return join([start, blockOf(packed.bytes), writeForm(magnitudes, dtype, row, true)]);
}

function writeForm(bytes: Uint8Array, dtype: Dtype, row: number, isRepetitive: boolean): Uint8Array {
  const palette = isRepetitive ? paletteOf(bytes, dtype, widthOf(dtype)) : undefined;
  if (!palette) return writePlanes(bytes, dtype, row, isRepetitive);
  const { values, indices } = palette;
  const count = values.length / widthOf(dtype);
  const start: number[] = [PALETTE];
  writeNumber(start, count);
  const coded = join([
    start,
    writePlanes(values, dtype, 1, false),
    writePlanes(indices, indexDtype(count), row, true),
  ]);
  // Of few values nothing is left to find by looking at their bytes; of more there may be.
  if (count <= SURELY_FEW) return shorter(coded, join([[0], bytes]));
  return shorter(coded, writePlanes(bytes, dtype, row, isRepetitive));
}

const SURELY_FEW = 16;

const shorter = (a: Uint8Array, b: Uint8Array): Uint8Array => (b.length < a.length ? b : a);

function writePlanes(bytes: Uint8Array, dtype: Dtype, row: number, isRepetitive: boolean): Uint8Array {
  const width = widthOf(dtype);
  const among = isRepetitive ? undefined : [0, ANS];
  const start = join([[0], bytes]);
  if (width === 1) return shorter(start, join([[1], packedPlane(new Uint8Array(bytes), [1, row], among)]));
  const turned = new Uint8Array(bytes); // a copy of Node's Buffers, too, whose slice() is a view
  // All the way round but one: a turn to the left.
  turn(turned, dtype, 8 * width - 1);
  const count = bytes.length / width;
  const planes = Array.from({ length: width }, (_, k) => {
    const plane = new Uint8Array(count);
    for (let i = 0, at = k; i < count; i++, at += width) plane[i] = turned[at];
    return packedPlane(plane, [1, row], among);
  });
  const best = shorter(start, join([[width], ...planes]));
  // Numbers that come again and again, in any order, are found where they lie.
  return isRepetitive ? shorter(best, join([[1], packedPlane(bytes, [], among)])) : best;
}

/** Elements that are looked at, and the share that is different if nothing repeats. */
const SAMPLE = 2048;
const MAX_DISTINCT = 0.9;

/** Whether elements come more than once: what to search for costs time, and trained weights do not. */
function repeats(bytes: Uint8Array, width: number): boolean {
  const count = Math.min(SAMPLE, Math.floor(bytes.length / width));
  const first = Math.floor((bytes.length / width - count) / 2) * width;
  const seen = new Set<number>();
  for (let at = first; at < first + count * width; at += width) {
    let hash = 0;
    for (let k = at; k < at + width; k++) hash = Math.imul(hash, 0x01000193) ^ bytes[k];
    seen.add(hash);
  }
  return seen.size <= MAX_DISTINCT * count;
}

/** One plane with its stride and coder. @param strides to try; by order 0 they are compared */
function packedPlane(plane: Uint8Array, strides: readonly number[], among?: readonly number[]): Uint8Array {
  let best = { stride: 0, bytes: plane, bits: strides.length > 0 ? encodedBits(plane) : 0 };
  for (const stride of new Set(strides)) {
    if (stride >= plane.length) continue;
    const bytes = plane.map((byte, i) => (i >= stride ? byte - plane[i - stride] : byte));
    const bits = encodedBits(bytes);
    if (bits < 0.98 * best.bits) best = { stride, bytes, bits };
  }
  const packed = packBytes(best.bytes, among);
  const kind: number[] = [];
  writeNumber(kind, CODERS * best.stride + packed.coder);
  return join([kind, blockOf(packed.bytes)]);
}

const isTurned = (dtype: Dtype): boolean =>
  dtype === "float32" || dtype === "float16" || dtype === "bfloat16";

/** Turns numbers of the types that have their sign in front of an exponent to the right, in place, by this many bits. */
function turn(bytes: Uint8Array<ArrayBuffer>, dtype: Dtype, by: number): void {
  if (!isTurned(dtype)) return;
  const width = dtypeBits[dtype];
  const numbers = new (width === 16 ? Uint16Array : Uint32Array)(bytes.buffer);
  for (let i = 0; i < numbers.length; i++) numbers[i] = (numbers[i] >>> by) | (numbers[i] << (width - by));
}
