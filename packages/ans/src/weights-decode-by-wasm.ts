/**
 * The decoder in WebAssembly, four rows at once by SIMD: assembly/. Engines that have none, and pages whose policy forbids compiling
 * it, decode plainly.
 */
import { corrupt } from "@bitdiet/stream";
import { kernels } from "./generated/kernels.js";
import type { CodedWeights, EndOfWeights, WeightBlock } from "./weights-coded.js";
import { LANES, LOGARITHMS, meanOfClass } from "./weights-contexts.js";
import { PROFILES } from "./weights-frozen.js";
import { FAILED, FREE, LOW_POSITION, POSITION, ROW_START, STATES } from "./weights-memory.js";
import { fillTables, sizeOfTables } from "./weights-tables.js";

/** Columns of groups that are decoded at once, unless four kernels have more. */
const COLUMNS = 2048;
/** The most bytes that a column's four weights take in the payload, and as low bits: 10 and 64 bits each. */
const [PAYLOAD_BYTES, LOW_BYTES] = [5, 32];
/** What loads of eight bytes and of four columns may reach beyond an end. */
const SLACK = 16;
/** What `logarithms` of assembly/words.ts adds. */
const BIAS = 127 * 128;
/** A larger memory is not kept. */
const KEPT_BYTES = 2 ** 25;

/** An instance of the module, and which tables are in its memory. */
interface Engine {
  memory: WebAssembly.Memory;
  decodeGroups(...numbers: number[]): void;
  made: Set<number>;
}

let module: WebAssembly.Module | undefined;
let isThere = true;
/** Of decoders that have ended; one that waits has its own. */
const idle: Engine[] = [];

function engine(): Engine | undefined {
  const kept = idle.pop();
  if (kept || !isThere) return kept;
  try {
    module ??= new WebAssembly.Module(Uint8Array.from(kernels.match(/../g)!, (pair) => parseInt(pair, 16)));
    const { memory, decodeGroups } = new WebAssembly.Instance(module).exports as unknown as Engine;
    return { memory, decodeGroups, made: new Set() };
  } catch {
    isThere = false;
  }
}

/** @returns undefined where there is no WebAssembly with SIMD */
export function decodeByWasm(coded: CodedWeights): Generator<WeightBlock, EndOfWeights> | undefined {
  const own = engine();
  return own && decodeBy(own, coded);
}

function* decodeBy(own: Engine, coded: CodedWeights): Generator<WeightBlock, EndOfWeights> {
  const { count, payload, low } = coded;
  const { rowLength } = coded.shape;
  const rows = count / rowLength;
  const { stretch, places, numbers, decode, window } = start(own, coded);
  let { position } = coded;
  let lowPosition = 0;
  try {
    for (let row = 0, groups = 1; row < rows; row += LANES * groups) {
      groups = Math.max(1, Math.min(Math.floor((rows - row) / LANES), Math.floor(COLUMNS / rowLength)));
      const lanes = Math.min(LANES, rows - row);
      // A lane that reads nothing more has come to its end.
      for (let lane = lanes; lane < LANES; lane++)
        if (numbers[STATES / 4 + lane] !== 0) corrupt("weights: end");
      for (let from = 0; from < rowLength; from += stretch) {
        const columns = Math.min(stretch, rowLength - from);
        const four = groups * columns;
        const payloadStart = window(payload, places.payload, PAYLOAD_BYTES * four, position, POSITION);
        const lowStart = window(low, places.low, LOW_BYTES * four, lowPosition, LOW_POSITION);
        decode(row / LANES, groups, lanes, from, columns);
        position = payloadStart + numbers[POSITION / 4];
        lowPosition = lowStart + numbers[LOW_POSITION / 4];
        if (numbers[FAILED / 4] || position > 8 * payload.length) corrupt("weights: end");
        const at = places.rows / 4;
        const there = Math.min(LANES * groups, rows - row) * columns;
        yield { row, from, columns, integers: numbers.subarray(at, at + there) };
      }
    }
    return { states: numbers.slice(STATES / 4, STATES / 4 + LANES), position, lowPosition };
  } finally {
    if (own.memory.buffer.byteLength <= KEPT_BYTES) idle.push(own);
  }
}

/** Memory as a tensor needs it, and what is done with it. */
function start({ memory, decodeGroups, made }: Engine, coded: CodedWeights) {
  const { count, isMatrix, profile } = coded;
  const { rowLength, height, width } = coded.shape;
  const [rowGain, columnGain] = coded.gains;
  const kernel = height * width;
  // Columns of a call: those of some groups, or a stretch of one's. Columns are settled by fours, so one ends in between at most at the end.
  const stretch = Math.min(rowLength, Math.max(1, Math.floor(COLUMNS / kernel / 4)) * kernel * 4);
  const most = Math.max(stretch, Math.min(COLUMNS, Math.ceil(count / rowLength / LANES) * rowLength));
  const places = placesOf(rowLength, width, stretch, most);
  const missing = places.end - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 2 ** 16));
  const { buffer } = memory;
  const bytes = new Uint8Array(buffer);
  const numbers = new Int32Array(buffer);
  const tables = tablesAt(isMatrix, profile);
  makeTables(buffer, made, isMatrix, profile);
  const mean = meanOfClass(coded.meanClass);
  const meanLog = LOGARITHMS[mean >> 4];
  const fill = (at: number, length: number, value: number) => numbers.fill(value, at / 4, at / 4 + length);
  fill(places.columnMeans, rowLength, mean);
  fill(places.columnScales, rowLength, columnGain * meanLog);
  numbers[FAILED / 4] = 0;
  numbers[ROW_START / 4] = mean;
  numbers.set(coded.states, STATES / 4);
  return {
    stretch,
    places,
    numbers,
    /** Puts so many bytes from a bit's on where the module finds them, zeros behind the last. @returns the first's number, in bits */
    window(of: Uint8Array, at: number, length: number, position: number, register: number): number {
      const first = Math.floor(position / 8);
      const there = of.subarray(first, first + length + SLACK);
      bytes.set(there, at);
      bytes.fill(0, at + there.length, at + length + SLACK);
      numbers[register / 4] = position & 7;
      return 8 * first;
    },
    decode: (group: number, groups: number, lanes: number, from: number, columns: number) =>
      decodeGroups(
        group, groups, lanes, Number(from === 0), Number(from + columns === rowLength), columns, height, width,
        tables.words, tables.limits, (8 - rowGain - columnGain) * meanLog - rowGain * BIAS, rowGain, columnGain,
        places.payload, places.low, places.columnMeans + 4 * from, places.columnScales + 4 * from,
        places.line, places.values, places.rows,
      ), // biome-ignore format: as in assembly/index.ts
  };
}

const aligned = (address: number): number => (address + 15) & ~15;

/** Where tables of a kind and profile are in memory: their words, then their limits. */
function tablesAt(isMatrix: boolean, profile: number): { words: number; limits: number; end: number } {
  let end = FREE;
  for (let other = 0; ; other++) {
    const kind = sizeOfTables(other % 2 === 1);
    const words = end;
    const limits = words + 4 * kind.words;
    end = aligned(limits + kind.limits);
    if (other === 2 * profile + Number(isMatrix)) return { words, limits, end };
  }
}

/** Behind the tables. @param stretch columns of a group, @param most of all groups, that are decoded at once */
function placesOf(rowLength: number, width: number, stretch: number, most: number) {
  let { end } = tablesAt(true, PROFILES - 1);
  const place = (length: number) => {
    const start = end;
    end = aligned(start + length + SLACK);
    return start;
  };
  return {
    payload: place(PAYLOAD_BYTES * most + SLACK),
    low: place(LOW_BYTES * most + SLACK),
    columnMeans: place(4 * rowLength),
    columnScales: place(4 * rowLength),
    line: place(16 * (width + 1)),
    values: place(16 * stretch + 3 * SLACK),
    rows: place(16 * most),
    end,
  };
}

function makeTables(buffer: ArrayBuffer, made: Set<number>, isMatrix: boolean, profile: number): void {
  const key = 2 * profile + Number(isMatrix);
  if (made.has(key)) return;
  const { words, limits } = tablesAt(isMatrix, profile);
  const sizes = sizeOfTables(isMatrix);
  fillTables(
    {
      words: new Int32Array(buffer, words, sizes.words),
      limits: new Uint8Array(buffer, limits, sizes.limits),
    },
    isMatrix,
    profile,
  );
  made.add(key);
}
