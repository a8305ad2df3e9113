/**
 * What decoding takes beside what the bound on work counts for it (FORMAT.md, "What a reader must refuse"): `npm run bench -- limits`. Of
 * files that an adversary would make, field by field: for each coder and layout the numbers that cost it most.
 *
 * Processor time. A share above 1 would mean that `maxSeconds` can be exceeded on this machine.
 */
import * as ans from "@bitdiet/ans";
import * as cabac from "@bitdiet/cabac";
import { uniform as random } from "@bitdiet/zoo/data/random";
import { CorruptInputError, decodeModel, encodeModel, readHeader } from "bitdiet";
import { type Field, forge } from "./forge.js";

const COUNT = 126_000;
const FLOAT32 = 2;
const COMPLEX128 = 2 * 27 + 2;
const NO_LIMITS = { maxBytes: Infinity, maxSeconds: Infinity };

const text = (name: string) => new TextEncoder().encode(name);
const concat = (...pieces: ArrayLike<number>[]) =>
  Uint8Array.from(pieces.flatMap((piece) => Array.from(piece)));

/** Numbers of so many bits, as likely negative. */
function integersOf(bits: number, count: number): Int32Array {
  const next = random(bits + 1);
  return Int32Array.from({ length: count }, () => Math.trunc((next() - 0.5) * 2 ** bits));
}

interface Layout {
  name: string;
  shape: number[];
  rowLength: number;
  kernel: [number, number];
}

const layouts: Layout[] = [
  { name: "rows of 500", shape: [COUNT / 500, 500], rowLength: 500, kernel: [1, 1] },
  { name: "one row", shape: [1, COUNT], rowLength: COUNT, kernel: [1, 1] },
  { name: "rows of 2", shape: [COUNT / 2, 2], rowLength: 2, kernel: [1, 1] },
  { name: "kernels of 3×3", shape: [COUNT / 36, 4, 3, 3], rowLength: 36, kernel: [3, 3] },
  { name: "kernels of 40×1", shape: [COUNT / 40, 1, 40, 1], rowLength: 40, kernel: [40, 1] },
  { name: "kernels of 1×2", shape: [COUNT / 2, 1, 1, 2], rowLength: 2, kernel: [1, 2] },
];

const coders: {
  name: string;
  widths: number[];
  encode(integers: Int32Array, layout: Layout): Uint8Array;
}[] = [
  { name: "cabac", widths: [0, 3, 8, 14, 20, 31], encode: (x, layout) => cabac.encodeWeights(x, layout) },
  {
    name: "ans",
    widths: [0, 4, 8],
    encode: (x) => ans.encodeBytes(Uint8Array.from(x, (value) => (value << 1) ^ (value >> 31))),
  },
  { name: "weights", widths: [0, 3, 8, 14, 30], encode: (x, layout) => ans.encodeWeights(x, layout) },
];

/** A file of one quantized tensor. */
function quantizedFile(shape: number[], coder: number, part: Uint8Array, flags = 0): Uint8Array {
  const name = [0, 1, text("w")];
  const fields: Field[] = [0, 1, ...name, FLOAT32 + 1, shape.length, ...shape, flags, coder, 0, part.length];
  return forge({ fields, parts: [part] });
}

/** Steps of a grid of whole octaves, one for all. */
const ONE_STEP = [1, 0];
const numbers = (...list: number[]): number[] =>
  list.flatMap((number) => {
    const bytes: number[] = [];
    for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) + 128);
    return [...bytes, number];
  });
const block = (bytes: Uint8Array) => concat(numbers(bytes.length), bytes);

/** Each row a number, a step of its own, in part without one. */
function manySteps(): Uint8Array {
  const flags = integersOf(2, COUNT).map((value) => value & 1);
  const kept = flags.filter((flag) => flag === 0).length;
  const places = integersOf(7, kept);
  const steps = concat(
    [8 + 128],
    numbers(0),
    block(cabac.encodeWeights(flags)),
    block(cabac.encodeWeights(places)),
  );
  return quantizedFile([COUNT, 1], 1, concat(steps, ans.encodeBytes(new Uint8Array(kept).fill(1))), 1);
}

/** Bytes that lz codes with many decisions each: of few kinds, and seldom as they were before. */
function lzFile(size: number): Uint8Array {
  const next = random(3);
  const bytes = Uint8Array.from({ length: size }, (_, i) => (next() < 0.02 ? i % 7 : i % 3));
  return encodeModel({ tensors: [], metadata: [{ name: "m", bytes }] });
}

/** Tensors of a few bytes whose planes have tables of their own. */
function manyTables(count: number): Uint8Array {
  const plane = ans.encodeBytes(Uint8Array.of(1, 2, 3, 4));
  const planes = Array.from({ length: 16 }, () => concat(numbers(1), block(plane)));
  const part = concat([16], ...planes);
  const tensor = (i: number): Field[] => [0, 5, text(String(10_000 + i)), COMPLEX128, 1, 4, part.length];
  return forge({
    fields: [0, count, ...Array.from({ length: count }, (_, i) => tensor(i)).flat()],
    parts: Array.from({ length: count }, () => part),
  });
}

/** Names that share all but their ends, of tensors that equal an earlier one. */
function manyNames(count: number): Uint8Array {
  const [long, part] = [text("x".repeat(50)), Uint8Array.of(0)];
  const fields: Field[] = [0, count];
  for (let i = 0; i < count; i++) {
    const end = text(i.toString(36).padStart(4, "0"));
    if (i === 0) fields.push(0, 54, concat(long, end), 2 * 4 + 2, 1, 0, part.length);
    else fields.push(50, 4, end, 0, i);
  }
  return forge({ fields, parts: [part] });
}

/** Elements of two bytes by place in a table of 65,536 values. */
function palette(): Uint8Array {
  const count = 2 ** 16;
  const values = new Uint8Array(Uint16Array.from({ length: count }, (_, i) => i).buffer);
  const places = new Uint8Array(2 * COUNT);
  const next = random(1);
  const coded = ans.encodeBytes(places.map(() => Math.floor(256 * next() ** 2)).subarray(0, COUNT));
  const planes = concat([2], numbers(1), block(coded), numbers(1), block(coded));
  const part = concat([255], numbers(count), [0], values, planes);
  return forge({ fields: [0, 1, 0, 1, text("w"), 2 * 7 + 2, 1, COUNT, part.length], parts: [part] });
}

/** Differences of bytes a stride apart, in planes. */
function strided(): Uint8Array {
  const next = random(2);
  const coded = ans.encodeBytes(Uint8Array.from({ length: COUNT }, () => Math.floor(256 * next() ** 3)));
  const part = concat([4], ...Array.from({ length: 4 }, () => concat(numbers(8 * 3 + 1), block(coded))));
  return forge({ fields: [0, 1, 0, 1, text("w"), FLOAT32, 1, COUNT, part.length], parts: [part] });
}

function* subjects(): Generator<{ name: string; file: Uint8Array }> {
  for (const [coder, { name, widths, encode }] of coders.entries())
    for (const layout of layouts)
      for (const bits of widths) {
        const part = concat(ONE_STEP, encode(integersOf(bits, COUNT), layout));
        yield {
          name: `${name}, ${layout.name}, ${bits} bits`,
          file: quantizedFile(layout.shape, coder, part),
        };
      }
  const leap = Int32Array.from({ length: COUNT }, (_, i) => (i % 7 === 0 ? 2 ** 30 - i : i % 2));
  const leaping = concat(ONE_STEP, cabac.encodeWeights(leap, { rowLength: 500 }));
  yield { name: "cabac, large numbers among small", file: quantizedFile([COUNT / 500, 500], 0, leaping) };
  yield { name: "steps of every number", file: manySteps() };
  yield { name: "lz, seldom as before", file: lzFile(COUNT) };
  yield { name: "tables of small tensors", file: manyTables(1000) };
  yield { name: "names", file: manyNames(60_000) };
  yield { name: "palette of 65,536 values", file: palette() };
  yield { name: "planes of differences", file: strided() };
}

/** Of processor time, on average over a quarter of a second: clocks of it may tick every 10 ms. */
async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  await work();
  const began = process.cpuUsage();
  for (let rounds = 1; ; rounds++) {
    await work();
    const { user, system } = process.cpuUsage(began);
    if (user + system > 250_000) return (user + system) / 1e6 / rounds;
  }
}

/** The least `maxSeconds` that the header of a file keeps within. */
function countedSeconds(file: Uint8Array): number {
  const isWithin = (maxSeconds: number) => {
    try {
      readHeader(file, { ...NO_LIMITS, maxSeconds });
      return true;
    } catch (error) {
      if (error instanceof CorruptInputError) return false;
      throw error;
    }
  };
  // By ratio, to within 1 %.
  let [least, most] = [1e-7, 1000];
  while (most / least > 1.01) {
    const middle = Math.sqrt(least * most);
    if (isWithin(middle)) most = middle;
    else least = middle;
  }
  return most;
}

export interface LimitRow {
  name: string;
  bytes: number;
  countedSeconds: number;
  measuredSeconds: number;
  /** Measured seconds for each that is counted. */
  share: number;
  /** The most that a MB of such files may take before the default limit refuses it, without its first four seconds. */
  secondsPerMegabyte: number;
}

/** Seconds that a byte of a file may count for. */
const SECONDS_PER_BYTE = 1e-5;

export async function run(): Promise<LimitRow[]> {
  const rows: LimitRow[] = [];
  for (const { name, file } of subjects()) {
    const counted = countedSeconds(file);
    const measured = await secondsOf(() => decodeModel(file, NO_LIMITS));
    const perByte = Math.min(measured / file.length, (SECONDS_PER_BYTE * measured) / counted);
    const row = {
      name,
      bytes: file.length,
      countedSeconds: counted,
      measuredSeconds: measured,
      share: measured / counted,
      secondsPerMegabyte: 1e6 * perByte,
    };
    rows.push(row);
    console.log(
      `${name}: ${row.bytes} B, counted ${(1e3 * counted).toFixed(2)} ms, takes ${(1e3 * measured).toFixed(2)} ms, share ${row.share.toFixed(2)}, ${row.secondsPerMegabyte.toFixed(1)} s a MB`,
    );
  }
  const worst = rows.reduce((a, b) => (b.share > a.share ? b : a));
  const slowest = rows.reduce((a, b) => (b.secondsPerMegabyte > a.secondsPerMegabyte ? b : a));
  console.log(
    `Most of what is counted: ${worst.share.toFixed(2)} (${worst.name}); most a MB: ${slowest.secondsPerMegabyte.toFixed(1)} s (${slowest.name})`,
  );
  return rows;
}
