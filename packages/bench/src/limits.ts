/**
 * What decoders take beside what the bound on work counts for them: `npm run bench -- limits`. A file may take 4 seconds, and 10 for each
 * MB, by these counts; where a coder takes more than it is counted for, so may a file.
 *
 * Processor time; for each coder the worst of lists from all zeros to 15 random bits.
 */
import * as ans from "@bitdiet/ans";
import * as cabac from "@bitdiet/cabac";
import { uniform as random } from "@bitdiet/zoo/data/random";
import { decodeModel, encodeModel, readHeader } from "bitdiet";

const COUNT = 200_000;
const ROWS = { rowLength: 500, height: 1, width: 1 };

/** A coder of integers, and the nanoseconds an integer counts (file/integers.ts). */
const coders = [
  {
    name: "cabac",
    counted: 120,
    encode: (x: Int32Array) => cabac.encodeWeights(x, { rowLength: 500, kernel: [1, 1] }),
    decode: (bytes: Uint8Array) => cabac.decodeWeightRows(bytes, COUNT, ROWS),
  },
  {
    name: "weights",
    counted: 60,
    encode: (x: Int32Array) => ans.encodeWeights(x, { rowLength: 500, kernel: [1, 1] }),
    decode: (bytes: Uint8Array) => ans.decodeWeightRows(bytes, COUNT, ROWS),
  },
  {
    name: "ans",
    counted: 10,
    encode: (x: Int32Array) => ans.encodeBytes(Uint8Array.from(x, (value) => value & 255)),
    decode: (bytes: Uint8Array) => ans.decodeBytes(bytes, COUNT),
  },
];

/** Of processor time, on average over a third of a second: clocks of it may tick every 10 ms. */
function seconds(work: () => unknown): number {
  const began = process.cpuUsage();
  for (let rounds = 1; ; rounds++) {
    work();
    const { user, system } = process.cpuUsage(began);
    if (user + system > 330_000) return (user + system) / 1e6 / rounds;
  }
}

export interface LimitRow {
  coder: string;
  /** Nanoseconds that a number counts. */
  counted: number;
  /** Nanoseconds that it takes. */
  measured: number;
  /** Of each number of the list. */
  bits: number;
  /** What a MB of such numbers takes, at most as many as the bound on work lets through. */
  secondsPerMegabyte: number;
}

/** Nanoseconds that a byte of a file may count for. */
const NANOSECONDS_PER_BYTE = 1e4;

function rowOf(coder: string, counted: number, count: number, bytes: number, work: () => unknown): LimitRow {
  const measured = (1e9 * seconds(work)) / count;
  const perByte = Math.min(count / bytes, NANOSECONDS_PER_BYTE / counted);
  return {
    coder,
    counted,
    measured,
    bits: (8 * bytes) / count,
    secondsPerMegabyte: (perByte * measured) / 1e3,
  };
}

export async function run(): Promise<LimitRow[]> {
  const rows = coders.map(({ name, counted, encode, decode }) => {
    const found = Array.from({ length: 16 }, (_, bits) => {
      const next = random(bits + 1);
      const integers = Int32Array.from({ length: COUNT }, () => Math.floor((next() - 0.5) * 2 ** bits));
      const bytes = encode(integers);
      return rowOf(name, counted, COUNT, bytes.length, () => decode(bytes));
    });
    return found.reduce((a, b) => (b.secondsPerMegabyte > a.secondsPerMegabyte ? b : a));
  });
  // JSON of few words: what the text coder is chosen for.
  const json = JSON.stringify(Array.from({ length: 4000 }, (_, i) => ({ a: i % 7, b: [i % 3] }))).slice(
    0,
    2 ** 16,
  );
  const file = encodeModel({
    tensors: [],
    metadata: [{ name: "text", bytes: new TextEncoder().encode(json) }],
  });
  const [{ coder, size, part }] = readHeader(file).metadata;
  if (coder === 1) rows.push(rowOf("text", 3500, size, part.length, () => decodeModel(file)));
  for (const row of rows)
    console.log(
      `${row.coder}: ${row.bits.toFixed(3)} bits a number, counted ${row.counted} ns, takes ${row.measured.toFixed(0)} ns: ${row.secondsPerMegabyte.toFixed(1)} s a MB at worst`,
    );
  return rows;
}
