/**
 * What people do today: float16, uint8 per tensor or int8 per channel, everything behind brotli at its best.
 *
 *     for (const { name, bytes, values } of plainFiles(tensors, structure)) …
 */
import { brotliCompressSync, constants } from "node:zlib";
import { floatBytes, floatValues } from "bitdiet";

/** A tensor of a model as baselines see it. */
export interface PlainTensor {
  name: string;
  dtype: string;
  shape: readonly number[];
  /** Little-endian elements, row-major. */
  bytes: Uint8Array;
  /** The axis of the output channels; absent: the tensor is no weight, and integer baselines keep it. */
  channelAxis?: number;
}

/** A file that somebody would serve, and what its tensors decode to. */
export interface PlainFile {
  name: string;
  /** Size of the whole file after brotli-11, structure of the model included; counted when it is asked for, at 2 s a MB. */
  readonly bytes: number;
  values: ReadonlyMap<string, Float32Array>;
}

const FLOATS = new Set(["float32", "float64"]);

/** @param structure what else the model's files hold: topology, names */
export function plainFiles(tensors: readonly PlainTensor[], structure: Uint8Array): PlainFile[] {
  return [
    plainFile("float32", tensors, structure, () => undefined),
    plainFile("float16", tensors, structure, half),
    plainFile("uint8 per tensor", tensors, structure, affine),
    plainFile("int8 per channel", tensors, structure, (tensor) => symmetric(tensor, 8)),
    plainFile("int6 per channel", tensors, structure, (tensor) => symmetric(tensor, 6)),
    plainFile("int4 per channel", tensors, structure, (tensor) => symmetric(tensor, 4)),
  ];
}

/** What is stored for a tensor, and what it decodes to; undefined: it stays as it is. */
type Store = (tensor: PlainTensor) => { stored: Uint8Array; values: Float32Array } | undefined;

function plainFile(
  name: string,
  tensors: readonly PlainTensor[],
  structure: Uint8Array,
  store: Store,
): PlainFile {
  const pieces = [structure];
  const values = new Map<string, Float32Array>();
  for (const tensor of tensors) {
    const kept = FLOATS.has(tensor.dtype) ? store(tensor) : undefined;
    pieces.push(kept?.stored ?? tensor.bytes);
    if (kept) values.set(tensor.name, kept.values);
  }
  return {
    name: `${name} + brotli-11`,
    get bytes() {
      return brotliBytes(Buffer.concat(pieces));
    },
    values,
  };
}

/** Bytes after brotli at its best, window as large as the input wants. */
export function brotliBytes(bytes: Uint8Array): number {
  return brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  }).length;
}

const valuesOf = ({ dtype, bytes }: PlainTensor) => floatValues(dtype as "float32", bytes);

const half: Store = (tensor) => {
  const stored = floatBytes("float16", valuesOf(tensor));
  return { stored, values: floatValues("float16", stored) };
};

/** As the TF.js converter does: 256 levels between the least and the largest value of a tensor. */
const affine: Store = (tensor) => {
  if (tensor.channelAxis === undefined) return undefined;
  const values = valuesOf(tensor);
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const step = Math.fround((most - least) / 255) || 1;
  const codes = Uint8Array.from(values, (value) => Math.round((value - least) / step));
  const side = new Uint8Array(Float32Array.of(least, step).buffer);
  return {
    stored: Buffer.concat([codes, side]),
    values: Float32Array.from(codes, (code) => least + step * code),
  };
};

/** Symmetric, the largest magnitude of each channel at the last level; one byte an integer, channel by channel. */
function symmetric(tensor: PlainTensor, bits: number): ReturnType<Store> {
  const { channelAxis, shape } = tensor;
  if (channelAxis === undefined) return undefined;
  const values = valuesOf(tensor);
  const channels = shape[channelAxis];
  const inner = shape.slice(channelAxis + 1).reduce((product, extent) => product * extent, 1);
  const top = 2 ** (bits - 1) - 1;
  const channelOf = (i: number) => Math.floor(i / inner) % channels;
  const scales = new Float32Array(channels);
  for (let i = 0; i < values.length; i++)
    scales[channelOf(i)] = Math.max(scales[channelOf(i)], Math.abs(values[i]) / top);
  const rounded = new Float32Array(values.length);
  const codes = new Int8Array(values.length);
  const next = Int32Array.from({ length: channels }, (_, channel) => (channel * values.length) / channels);
  for (let i = 0; i < values.length; i++) {
    const channel = channelOf(i);
    const integer = scales[channel] === 0 ? 0 : Math.round(values[i] / scales[channel]);
    codes[next[channel]++] = integer;
    rounded[i] = integer * scales[channel];
  }
  return {
    stored: Buffer.concat([new Uint8Array(codes.buffer), new Uint8Array(scales.buffer)]),
    values: rounded,
  };
}
