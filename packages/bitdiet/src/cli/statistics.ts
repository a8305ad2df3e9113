/**
 * What `inspect` says about a tensor, and what the same weights take in the formats that people use today.
 *
 *     valueStatistics(Float32Array.of(0, 0, 1, -1)); // { zeros: 0.5, deviation: 0.707, largest: 1, outliers: 0 }
 *     integerEntropy(Int32Array.of(0, 0, 1, -1));      // 1.5 bits a integer
 */
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { floatBytes } from "../formats/floats.js";

export interface ValueStatistics {
  /** Share of exact zeros, 0 .. 1. */
  zeros: number;
  /** Root of the mean square. */
  deviation: number;
  /** Largest magnitude. */
  largest: number;
  /** Share of values beyond 4 deviations: 0.00006 of normal ones. They stretch the range of a uniform quantizer. */
  outliers: number;
}

export function valueStatistics(values: Float32Array): ValueStatistics {
  let zeros = 0;
  let squares = 0;
  let largest = 0;
  for (const value of values) {
    if (value === 0) zeros++;
    squares += value * value;
    largest = Math.max(largest, Math.abs(value));
  }
  const count = Math.max(1, values.length);
  const deviation = Math.sqrt(squares / count);
  let outliers = 0;
  for (const value of values) if (Math.abs(value) > 4 * deviation) outliers++;
  return { zeros: zeros / count, deviation, largest, outliers: outliers / count };
}

/** Shannon entropy of integers on their own, bits each. */
export function integerEntropy(integers: Int32Array | Uint8Array): number {
  const counts = new Map<number, number>();
  for (const integer of integers) counts.set(integer, (counts.get(integer) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / integers.length) * Math.log2(count / integers.length);
  return bits;
}

/** Today's usual: one scale and minimum for the tensor, 8 bits, as the TF.js converter does. */
export function toUint8(values: Float32Array): Uint8Array {
  let low = 0;
  let high = 0;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const scale = (high - low) / 255 || 1;
  return Uint8Array.from(values, (value) => Math.round((value - low) / scale));
}

/** Integers in the fewest whole bits that hold them all, one after another. */
export function packBits(integers: Int32Array): Uint8Array {
  let low = 0;
  let high = 0;
  for (const integer of integers) {
    low = Math.min(low, integer);
    high = Math.max(high, integer);
  }
  const width = Math.ceil(Math.log2(high - low + 1));
  const bytes = new Uint8Array(Math.ceil((integers.length * width) / 8));
  let position = 0;
  for (const integer of integers) {
    for (let bit = 0; bit < width; bit++, position++)
      if (((integer - low) / 2 ** bit) & 1) bytes[position >> 3] |= 1 << (position & 7);
  }
  return bytes;
}

/** Bytes of a representation as it is, after gzip -9 and after brotli -q 11 with the largest window. */
export interface PackedSizes {
  name: string;
  raw: number;
  gzip: number;
  brotli: number;
}

/**
 * @param tensors float values, and the integers where a tensor is quantized
 * @returns float32, float16, uint8 and, where there are integers, those bit-packed (the rest as float16); each is one file of all
 * tensors. Brotli at its best takes about 2 s a MB.
 */
export async function baselineSizes(
  tensors: readonly { values: Float32Array; integers?: Int32Array }[],
): Promise<PackedSizes[]> {
  const kinds: [string, (values: Float32Array, integers?: Int32Array) => Uint8Array][] = [
    ["float32", (values) => floatBytes("float32", values)],
    ["float16", (values) => floatBytes("float16", values)],
    ["uint8 per tensor", (values) => toUint8(values)],
  ];
  if (tensors.some(({ integers }) => integers))
    kinds.push([
      "these integers, bit-packed",
      (values, integers) => (integers ? packBits(integers) : floatBytes("float16", values)),
    ]);
  const sizes: PackedSizes[] = [];
  for (const [name, pack] of kinds)
    sizes.push({
      name,
      ...(await packedSizes(tensors.map(({ values, integers }) => pack(values, integers)))),
    });
  return sizes;
}

/** All pieces as one file. */
export async function packedSizes(pieces: readonly Uint8Array[]): Promise<Omit<PackedSizes, "name">> {
  const packed = Buffer.concat(pieces);
  const [gzipped, brotlied] = await Promise.all([
    promisify(gzip)(packed, { level: 9 }),
    promisify(brotliCompress)(packed, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 11,
        [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
        [constants.BROTLI_PARAM_SIZE_HINT]: packed.length,
      },
    }),
  ]);
  return { raw: packed.length, gzip: gzipped.length, brotli: brotlied.length };
}
