// A network's quantized weights as bytes: one stream a tensor, by the smallest of the coders, and all that a decoder needs
// besides: steps on a logarithmic grid, and the other parameters as bfloat16. Beside it, what the same integers take
// without an entropy coder of ours. Example: 4-bit levels of 1.9 bits entropy take about 0.24 bytes each, packed 0.5.
import { brotliCompressSync, constants } from "node:zlib";
import { countSymbols, huffmanCode, shannonEntropy } from "@bitdiet/huffman";
import { ansCoder, type Coder, cabacCoder, huffmanCoder, smallestOf } from "bitdiet";

/** A weight's integers. */
export interface WeightLevels {
  name: string;
  /** -high .. high, in the tensor's own order. */
  levels: Int32Array;
  /** The tensor's last extent. */
  rowLength: number;
  /** Of a level: high = 2^(bits - 1) - 1. */
  bits: number;
}

/** What one weight tensor cost. */
export interface CodedWeight {
  name: string;
  values: number;
  /** How often each level occurs, from -high up. */
  counts: number[];
  levelEntropy: number;
  /** The coder that was estimated to be the smallest. */
  coder: string;
  /** The coder's number, then its stream: header, tables, payload, checksum. */
  bytes: Uint8Array;
}

/** All weights of a network as they are shipped. */
export interface CodedWeights {
  weights: CodedWeight[];
  /** All steps' numbers on the grid, as one stream. */
  stepBytes: Uint8Array;
  /** The parameters that are no integers (biases, normalization), as bfloat16. */
  floatBytes: Uint8Array;
  /** All of the above. */
  weightBytes: number;
  /** The same integers, bit-packed and as one byte each, then brotli at its highest quality; steps and floats likewise. */
  packedBrotliBytes: number;
  byteBrotliBytes: number;
}

const CODERS: readonly Coder[] = [huffmanCoder, ansCoder, cabacCoder];

/** Steps are 2^(n / 16): neighbours differ by 4.4 %. */
const PARTS_PER_OCTAVE = 16;

/** The number n of the step 2^(n / 16) that is nearest to e^lnStep. */
export const stepNumber = (lnStep: number): number => Math.round((lnStep / Math.LN2) * PARTS_PER_OCTAVE);

/** ln of the step 2^(n / 16). */
export const lnStepAt = (number: number): number => (number * Math.LN2) / PARTS_PER_OCTAVE;

/**
 * @param steps numbers of all steps, see stepNumber
 * @param floats values of the parameters that are not quantized; kept as bfloat16, see toBfloat16
 */
export function codeWeights(
  quantized: readonly WeightLevels[],
  steps: Int32Array,
  floats: readonly Float32Array[],
): CodedWeights {
  const weights = quantized.map(({ name, levels, rowLength, bits }) => {
    const high = 2 ** (bits - 1) - 1;
    const counts = countSymbols(indicesOf(levels, high), 2 * high + 1);
    return {
      name,
      values: levels.length,
      counts: [...counts],
      levelEntropy: shannonEntropy(counts),
      ...encodeLevels(levels, rowLength),
    };
  });
  const stepBytes = encodeLevels(steps).bytes;
  const floatBytes = encodeFloats(floats);
  const side = [stepBytes, floatBytes];
  return {
    weights,
    stepBytes,
    floatBytes,
    weightBytes: [...weights.map(({ bytes }) => bytes), ...side].reduce((sum, { length }) => sum + length, 0),
    packedBrotliBytes: brotliBytes([...quantized.map(packed), ...side]),
    byteBrotliBytes: brotliBytes([...quantized.map(({ levels }) => new Uint8Array(levels)), ...side]),
  };
}

function encodeLevels(levels: Int32Array, rowLength = levels.length): { coder: string; bytes: Uint8Array } {
  const { name: coder, encode } = smallestOf(CODERS, levels, { rowLength });
  const number = CODERS.findIndex(({ name }) => name === coder);
  return { coder, bytes: Buffer.concat([Uint8Array.of(number), encode(levels, { rowLength })]) };
}

/** Levels, or the numbers of steps, from their bytes. @throws {Error} named CorruptInputError if these are damaged */
export function decodeLevels(bytes: Uint8Array): Int32Array {
  return CODERS[bytes[0]].decode(bytes.subarray(1));
}

/** The nearest bfloat16 numbers: float32 with 8 bits of mantissa, so within 0.2 %. Ties go to even. */
export function toBfloat16(values: Float32Array): Float32Array {
  const words = new Uint32Array(Float32Array.from(values).buffer);
  return new Float32Array(words.map((word) => (word + 0x7fff + ((word >>> 16) & 1)) & 0xffff0000).buffer);
}

function encodeFloats(floats: readonly Float32Array[]): Uint8Array {
  const halves = floats.flatMap((values) =>
    Array.from(new Uint32Array(toBfloat16(values).buffer), (word) => word >>> 16),
  );
  return new Uint8Array(Uint16Array.from(halves).buffer);
}

/** The values of all parameters that are no integers, one after the other. */
export function decodeFloats(bytes: Uint8Array): Float32Array {
  const halves = new Uint16Array(Uint8Array.from(bytes).buffer);
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}

// A Huffman code whose words are all equally long is plain bit-packing.
function packed({ levels, bits }: WeightLevels): Uint8Array {
  const high = 2 ** (bits - 1) - 1;
  return huffmanCode(new Uint8Array(2 ** bits).fill(bits)).encode(indicesOf(levels, high));
}

const indicesOf = (levels: Int32Array, high: number) => Uint8Array.from(levels, (level) => level + high);

function brotliBytes(parts: Uint8Array[]): number {
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
  return brotliCompressSync(Buffer.concat(parts), quality).length;
}
