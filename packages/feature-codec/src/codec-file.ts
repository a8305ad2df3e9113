/**
 * A codec as bytes and back; what a receiver has to have before the first frame. See FORMAT.md, "Codec".
 */
import { type ContextTables, decodeContextTables, encodeContextTables } from "@bitdiet/ans";
import { corrupt, describe, readNumber, writeNumber, xxHash32 } from "@bitdiet/stream";
import { bitReader, bitWriter } from "./bits.js";
import { CONTEXTS } from "./contexts.js";
import {
  type FeatureModel,
  MAX_CHANNELS,
  MAX_ENTRY,
  MAX_FEATURE,
  MAX_GAIN,
  MAX_STEP,
  MAX_VALUES,
  type Matrix,
} from "./model.js";
import { ALPHABET, ESCAPE } from "./tokens.js";

const MAGIC = [0xf3, 1];
const ENTRY_BITS = 12;
/** A feature's integer fits a float32, and so does the feature. */
export const MAX_RANGE = 4 * MAX_FEATURE;
const MAX_FRACTION = 100;

const zigzag = (integer: number) => (integer < 0 ? -2 * integer - 1 : 2 * integer);
const unzigzag = (number: number) => (number % 2 ? -(number + 1) / 2 : number / 2);

export function encodeModel(model: FeatureModel): Uint8Array {
  const { height, width, channels, rows, analysis, synthesis, fraction, least, greatest, precision } = model;
  const matrices = [analysis, synthesis].filter((matrix) => matrix !== undefined);
  const bytes = [...MAGIC];
  const numbers = (...values: number[]) => {
    for (const value of values) writeNumber(bytes, value);
  };
  numbers(height, width, channels, rows, matrices.length);
  numbers(zigzag(fraction), zigzag(least), zigzag(greatest), precision);
  numbers(...Array.from(model.mean, zigzag), ...model.steps, ...model.gains, ...model.sizes);
  const tables = encodeContextTables(model.tables);
  numbers(tables.length);
  const bits = bitWriter();
  for (const { entries } of matrices) for (const entry of entries) bits.put(entry, ENTRY_BITS);
  const packed = bits.bytes();
  const out = new Uint8Array(bytes.length + tables.length + packed.length + 4);
  out.set(bytes);
  out.set(tables, bytes.length);
  out.set(packed, bytes.length + tables.length);
  new DataView(out.buffer).setUint32(out.length - 4, xxHash32(out.subarray(0, out.length - 4)), true);
  return out;
}

/** @throws {CorruptInputError} unless the bytes are exactly a codec */
export function decodeModel(file: Uint8Array): FeatureModel {
  if (!(file instanceof Uint8Array))
    throw new TypeError(`bytes: expected a Uint8Array, got ${describe(file)}`);
  if (file.length < 6 || MAGIC.some((byte, i) => file[i] !== byte)) {
    corrupt("codec: not one of @bitdiet/feature-codec");
  }
  const end = file.length - 4;
  const stored = new DataView(file.buffer, file.byteOffset).getUint32(end, true);
  const bytes = file.subarray(0, end);
  if (xxHash32(bytes) !== stored) corrupt("codec: checksum");
  let at = MAGIC.length;
  /** A number of what is named, least .. most. */
  const number = (what: string, least: number, most: number): number => {
    const value = readNumber(() => bytes[at++]);
    if (!(value >= least && value <= most)) corrupt(`codec: ${what} ${value}`);
    return value;
  };
  const signed = (what: string, most: number) => unzigzag(number(what, 0, 2 * most));
  const list = (count: number, what: string, least: number, most: number) => {
    if (count > bytes.length - at) corrupt(`codec: ${what}`);
    return Int32Array.from({ length: count }, () => number(what, least, most));
  };
  const [height, width] = [number("height", 1, MAX_VALUES), number("width", 1, MAX_VALUES)];
  const channels = number("channels", 1, MAX_CHANNELS);
  if (height * width * channels > MAX_VALUES) corrupt(`codec: ${height} x ${width} x ${channels} values`);
  const rows = number("rows", 1, channels);
  const matrices = number("matrices", 0, 2);
  if (matrices === 0 && rows !== channels) corrupt(`codec: rows ${rows}`);
  const fraction = signed("fraction", MAX_FRACTION);
  const [least, greatest] = [signed("least", MAX_RANGE), signed("greatest", MAX_RANGE)];
  if (least > greatest) corrupt("codec: range");
  const precision = number("precision", 0, 30);
  const mean = list(channels, "mean", 0, 2 * MAX_FEATURE).map(unzigzag);
  const steps = list(rows, "steps", 1, MAX_STEP);
  const gains = list(rows, "gains", 1, MAX_GAIN);
  const sizes = Uint8Array.from(list(rows, "sizes", 0, 127));
  const length = number("tables", 1, bytes.length - at);
  const tables = checkedTables(decodeContextTables(bytes.subarray(at, (at += length))));
  const count = rows * channels;
  if (bytes.length - at !== Math.ceil((matrices * count * ENTRY_BITS) / 8)) corrupt("codec: end");
  const bits = bitReader(bytes.subarray(at));
  const [analysis, synthesis] = Array.from({ length: matrices }, (): Matrix => {
    const entries = new Int16Array(count);
    for (let i = 0; i < count; i++) entries[i] = (bits.take(ENTRY_BITS) << 20) >> 20;
    if (entries.some((entry) => entry < -MAX_ENTRY)) corrupt("codec: a matrix");
    return { entries };
  });
  bits.finish();
  const shape = { height, width, channels };
  return {
    ...shape,
    fraction,
    least,
    greatest,
    mean,
    rows,
    analysis,
    synthesis,
    steps,
    gains,
    precision,
    sizes,
    tables,
  };
}

/** Tables of this package's tokens and contexts; each must be able to code anything. */
function checkedTables(tables: ContextTables): ContextTables {
  if (tables.tableOf.length !== CONTEXTS) corrupt(`codec: ${tables.tableOf.length} contexts`);
  for (const table of tables.tables) {
    if (table.length !== ALPHABET || table[ESCAPE] === 0) corrupt("codec: a table");
  }
  return tables;
}
