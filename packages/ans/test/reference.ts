/**
 * A slow codec written from FORMAT.md alone, for the tests: bits are strings, states are looked up, nothing is shared
 * with src. Reading and writing, so that tests can also make streams that compress would never choose.
 */
import { xxHash32 } from "@bitdiet/stream";

/** Bits of bytes, lowest first. */
export const bitsOf = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0").split("").reverse().join("")).join("");

export const bytesOf = (bits: string): Uint8Array => {
  if (bits.length % 8 !== 0) throw new Error("not whole bytes");
  return Uint8Array.from({ length: bits.length / 8 }, (_, i) =>
    Number.parseInt(
      bits
        .slice(8 * i, 8 * i + 8)
        .split("")
        .reverse()
        .join(""),
      2,
    ),
  );
};

const field = (value: number, width: number): string =>
  width === 0 ? "" : value.toString(2).padStart(width, "0").split("").reverse().join("");
const numberOf = (bits: string): number =>
  bits === "" ? 0 : Number.parseInt(bits.split("").reverse().join(""), 2);

/** Slots in the order of their owners' wishes (2i + 1) L / 2f, compared after floor, ties to the smaller symbol. */
export function spread(frequencies: readonly number[]): { symbol: number; inner: number }[] {
  const size = frequencies.reduce((a, b) => a + b, 0);
  const wishes: { symbol: number; wish: number }[] = [];
  frequencies.forEach((frequency, symbol) => {
    for (let i = 0; i < frequency; i++) {
      wishes.push({ symbol, wish: Number((BigInt(2 * i + 1) * BigInt(size)) / BigInt(2 * frequency)) });
    }
  });
  wishes.sort((a, b) => a.wish - b.wish || a.symbol - b.symbol);
  const seen = frequencies.slice();
  return wishes.map(({ symbol }) => ({ symbol, inner: seen[symbol]++ }));
}

type TableOf = (decoded: readonly number[], position: number) => number;

/** Decodes `count` symbols; `tableOf` tells the table from the symbols before, in coding order. */
export function readPayload(
  bytes: Uint8Array,
  count: number,
  tables: readonly (readonly number[])[],
  tableOf: TableOf = () => 0,
): number[] {
  if (count === 0) return [];
  const slots = tables.map(spread);
  const size = slots[0].length;
  const bits = bitsOf(bytes);
  let at = bits.indexOf("1") + 1;
  const take = (width: number): number => {
    const value = numberOf(bits.slice(at, at + width));
    at += width;
    return value;
  };
  const lanes = count < 512 ? 1 : 4;
  const states = Array.from({ length: lanes }, () => take(Math.log2(size)));
  const out: number[] = [];
  for (let i = 0; i < count; i++) {
    const { symbol, inner } = slots[tableOf(out, i)][states[i % lanes]];
    let state = inner;
    let width = 0;
    while (state < size) {
      state *= 2;
      width++;
    }
    states[i % lanes] = state - size + take(width);
    out.push(symbol);
  }
  if (at !== bits.length || states.some((state) => state !== 0)) throw new Error("does not end exactly");
  return out;
}

/** Encodes symbols, given in coding order with the table of each. */
export function writePayload(
  symbols: readonly number[],
  tables: readonly (readonly number[])[],
  tableOf: readonly number[] = symbols.map(() => 0),
): Uint8Array {
  if (symbols.length === 0) return new Uint8Array(0);
  const slots = tables.map(spread);
  const size = slots[0].length;
  const lanes = symbols.length < 512 ? 1 : 4;
  const states = new Array<number>(lanes).fill(0);
  let bits = "";
  for (let i = symbols.length - 1; i >= 0; i--) {
    const state = states[i % lanes] + size;
    // The slot whose inner state, lifted by some bits, covers this state.
    const table = slots[tableOf[i]];
    const slot = table.findIndex(({ symbol, inner }) => {
      const width = Math.ceil(Math.log2(size / inner));
      return symbol === symbols[i] && state >> Math.max(0, width) === inner;
    });
    const width = Math.max(0, Math.ceil(Math.log2(size / table[slot].inner)));
    bits = field(state % 2 ** width, width) + bits;
    states[i % lanes] = slot;
  }
  bits = `1${states.map((state) => field(state, Math.log2(size))).join("")}${bits}`;
  return bytesOf("0".repeat(-bits.length & 7) + bits);
}

export function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

export function frequencyBits(frequencies: readonly number[], tableLog: number): string {
  let bits = "";
  let last = tableLog;
  let run = 0;
  const putLength = (length: number): void => {
    const difference = length - last;
    bits += `${"1".repeat(difference < 0 ? -2 * difference - 1 : 2 * difference)}0`;
  };
  frequencies.forEach((frequency) => {
    if (frequency === 0) {
      run++;
      return;
    }
    if (run > 0) {
      putLength(0);
      const width = Math.floor(Math.log2(run));
      bits += `${"0".repeat(width)}1${field(run - 2 ** width, width)}`;
      run = 0;
    }
    const length = Math.floor(Math.log2(frequency)) + 1;
    putLength(length);
    bits += field(frequency - 2 ** (length - 1), length - 1);
    last = length;
  });
  return bits;
}

export const aligned = (bits: string): number[] => Array.from(bytesOf(bits + "0".repeat(-bits.length & 7)));

export interface MapFields {
  height: number;
  width: number;
  channels: number;
  zero: number;
  thresholds: readonly number[];
  tableOf: readonly number[];
}

/** Positions in coding order. */
export function codingOrder(
  count: number,
  { width, channels }: MapFields,
): { order: number[]; tops: number[] } {
  const line = width * channels;
  const rows = count / line;
  const bands = count >= 512 && rows >= 64 ? 4 : 1;
  const heights = Array.from(
    { length: bands },
    (_, band) => Math.floor(rows / bands) + (band < rows % bands ? 1 : 0),
  );
  const tops = heights.map((_, band) => heights.slice(0, band).reduce((a, b) => a + b, 0));
  const order: number[] = [];
  for (let row = 0; row < heights[0]; row++) {
    for (let j = 0; j < line; j++) {
      for (let band = 0; band < bands; band++) {
        if (row < heights[band]) order.push((tops[band] + row) * line + j);
      }
    }
  }
  return { order, tops };
}

/** The context at a position, straight from the definition. */
export function neighbourContext(
  symbols: ArrayLike<number>,
  position: number,
  tops: readonly number[],
  fields: MapFields,
): number {
  const { height, width, channels, zero, thresholds } = fields;
  const channel = position % channels;
  const x = Math.floor(position / channels) % width;
  const row = Math.floor(position / (channels * width));
  const top = row % height === 0 || tops.includes(row);
  const classAt = (dx: number, dy: number, dc: number): number => {
    if (x + dx < 0 || x + dx >= width || channel + dc < 0 || (dy < 0 && top)) return 0;
    const magnitude = Math.abs(symbols[position + (dy * width + dx) * channels + dc] - zero);
    return thresholds.filter((threshold) => magnitude >= threshold).length;
  };
  const base = thresholds.length + 1;
  const before = channels > 1 ? classAt(0, 0, -1) : 0;
  return classAt(-1, 0, 0) + base * (classAt(0, -1, 0) + base * (classAt(1, -1, 0) + base * before));
}

export type Kind = 0 | 1 | 2 | 3 | 4;

/** A whole stream from its parts; frequencies are over symbol values (over first + 256 * second for pairs). */
export function writeStream(
  kind: Kind,
  symbols: Uint8Array | Uint16Array,
  tables: readonly (readonly number[])[] = [],
  fields?: MapFields,
): Uint8Array {
  const wide = symbols instanceof Uint16Array;
  const tableLog = tables.length > 0 ? Math.log2(tables[0].reduce((a, b) => a + b, 0)) : 0;
  const header = [0xb1, kind + (wide ? 8 : 0) + 16 * tableLog, ...varint(symbols.length)];
  const raw = Array.from(symbols).flatMap((symbol) => (wide ? [symbol & 255, symbol >> 8] : [symbol]));
  let payload: Iterable<number> = raw;
  if (kind === 1) payload = raw.slice(0, wide ? 2 : 1);
  if (kind === 2) {
    header.push(...aligned(frequencyBits(tables[0], tableLog)));
    payload = writePayload(Array.from(symbols), tables);
  }
  if (kind === 3) {
    header.push(...aligned(frequencyBits(tables[0], tableLog)));
    const pairs = Array.from(
      { length: Math.ceil(symbols.length / 2) },
      (_, i) => symbols[2 * i] + 256 * (symbols[2 * i + 1] ?? 0),
    );
    payload = writePayload(pairs, tables);
  }
  if (kind === 4) {
    const { height, width, channels, zero, thresholds, tableOf } = fields!;
    for (const value of [height, width, channels, zero, thresholds.length, ...thresholds])
      header.push(...varint(value));
    const indexWidth = tables.length === 1 ? 0 : Math.floor(Math.log2(tables.length - 1)) + 1;
    header.push(
      ...aligned(
        field(tables.length - 1, 8) +
          tableOf.map((table) => field(table, indexWidth)).join("") +
          tables.map((table) => frequencyBits(table, tableLog)).join(""),
      ),
    );
    const { order, tops } = codingOrder(symbols.length, fields!);
    payload = writePayload(
      order.map((position) => symbols[position]),
      tables,
      order.map((position) => tableOf[neighbourContext(symbols, position, tops, fields!)]),
    );
  }
  const checksum = xxHash32(Uint8Array.from(raw), xxHash32(Uint8Array.from(header)));
  return Uint8Array.from([
    ...header,
    ...[0, 8, 16, 24].map((shift) => (checksum >>> shift) & 255),
    ...payload,
  ]);
}
