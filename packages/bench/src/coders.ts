/**
 * Entropy coders side by side: `npm run bench -- coders`.
 *
 * Sizes stand beside the order-0 entropy of the very symbols that are coded. Speeds are MB of one-byte symbols a second
 * of processor time, encode and decode in turn for all coders of a source, best of the rounds; every decoding is compared
 * with its source once. A coder is one row of `codersOf`.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as zlib from "node:zlib";
import * as ans from "@bitdiet/ans";
import * as cabac from "@bitdiet/cabac";
import * as huffman from "@bitdiet/huffman";
import * as fflate from "fflate";
import * as pako from "pako";
import { resnetMapSource } from "./resnet-maps.js";
import {
  dataFolder,
  featureMapSource,
  laplaceSource,
  type Source,
  uniformSource,
  weightSource,
} from "./sources.js";

type Bytes = Uint8Array;

export interface Coder {
  name: string;
  encode: (symbols: Uint8Array) => Bytes;
  decode: (bytes: Bytes) => ArrayLike<number>;
  /** So slow that it codes the first MiB only, once. */
  slow?: boolean;
}

/** A fixed table, learned from these very symbols: its own bytes are added to the size. */
function fixedTable(name: string, { symbols }: Source, code: huffman.HuffmanCode): Coder {
  const table = huffman.encodeTable(code);
  return {
    name,
    encode: (x) => {
      const coded = code.encode(x);
      const bytes = new Uint8Array(table.length + coded.length);
      bytes.set(table);
      bytes.set(coded, table.length);
      return bytes;
    },
    decode: (bytes) => code.decode(bytes.subarray(table.length), symbols.length),
  };
}

/** Self-describing streams of symbols 0 .. 255, with a checksum each: what the fuzzer alters. */
export const selfDescribing: Coder[] = [
  { name: "huffman", encode: (x) => huffman.compress(x), decode: (b) => huffman.decompress(b) },
  { name: "ans", encode: (x) => ans.compress(x), decode: (b) => ans.decompress(b) },
  {
    name: "ans, contexts",
    encode: (x) => ans.compressMap(x, { height: 1, width: Math.max(1, x.length), channels: 1 }),
    decode: (b) => ans.decompressMap(b),
  },
  { name: "cabac", encode: (x) => cabac.compress(new Int16Array(x)), decode: (b) => cabac.decompress(b) },
];

function codersOf(source: Source): Coder[] {
  const { maps, layers } = source;
  const counts = huffman.countSymbols(source.symbols);
  const coders: Coder[] = [
    { name: "huffman", encode: (x) => huffman.compress(x), decode: (b) => huffman.decompress(b) },
    {
      name: "huffman, single symbols",
      encode: (x) => huffman.compress(x, { singleSymbols: true }),
      decode: (b) => huffman.decompress(b),
    },
    fixedTable("huffman, fixed table", source, huffman.huffmanCode(huffman.codeLengths(counts, 12))),
    { name: "ans", encode: (x) => ans.compress(x), decode: (b) => ans.decompress(b) },
  ];
  if (maps) coders.push(mapCoder(source));
  if (layers) coders.push(weightCoder(source), cabacCoder(source));
  coders.push(
    {
      name: "zlib HUFFMAN_ONLY",
      encode: (x) => zlib.deflateSync(x, { strategy: zlib.constants.Z_HUFFMAN_ONLY }),
      decode: (b) => zlib.inflateSync(b),
    },
    { name: "zlib 6", encode: (x) => zlib.deflateSync(x, { level: 6 }), decode: (b) => zlib.inflateSync(b) },
    {
      name: "fflate 6",
      encode: (x) => fflate.zlibSync(x, { level: 6 }),
      decode: (b) => fflate.unzlibSync(b),
    },
    { name: "pako 6", encode: (x) => pako.deflate(x, { level: 6 }), decode: (b) => pako.inflate(b) as Bytes },
    brotli(5),
    { ...brotli(11), slow: true },
  );
  const { zstdCompressSync, zstdDecompressSync } = zlib as unknown as Record<string, (b: Bytes) => Bytes>;
  if (zstdCompressSync) coders.push({ name: "zstd 3", encode: zstdCompressSync, decode: zstdDecompressSync });
  return coders;
}

function brotli(quality: number): Coder {
  return {
    name: `brotli ${quality}`,
    encode: (x) => zlib.brotliCompressSync(x, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: quality } }),
    decode: (b) => zlib.brotliDecompressSync(b),
  };
}

/** Streams of parts, one behind the other: what a file would hold that says their sizes elsewhere. */
function inParts<Part>(
  name: string,
  parts: Part[],
  count: number,
  encode: (part: Part) => Bytes,
  decode: (stream: Bytes, part: Part) => ArrayLike<number>,
): Coder {
  let sizes: number[] = [];
  return {
    name,
    encode: () => {
      const streams = parts.map(encode);
      sizes = streams.map((stream) => stream.length);
      return streams.length === 1 ? streams[0] : Buffer.concat(streams);
    },
    decode: (bytes) => {
      if (sizes.length === 1) return decode(bytes, parts[0]);
      const decoded = new Uint8Array(count);
      let from = 0;
      let at = 0;
      for (const [index, size] of sizes.entries()) {
        const symbols = decode(bytes.subarray(from, from + size), parts[index]);
        decoded.set(symbols, at);
        at += symbols.length;
        from += size;
      }
      return decoded;
    },
  };
}

/** Layer by layer with the layer's shape. */
function cabacCoder({ layers = [], symbols }: Source): Coder {
  return inParts(
    "cabac",
    layers,
    symbols.length,
    ({ levels, rowLength, kernel }) => cabac.compress(levels, { rowLength, kernel }),
    (stream) => zigzag(cabac.decompress(stream)),
  );
}

/** Streams do not say how many weights they hold, nor their shape: a file does. */
function weightCoder({ layers = [], symbols }: Source): Coder {
  return inParts(
    "ans, weights",
    layers,
    symbols.length,
    ({ levels, rowLength, kernel }) => ans.encodeWeights(Int32Array.from(levels), { rowLength, kernel }),
    (stream, { levels, rowLength, kernel }) =>
      zigzag(ans.decodeWeights(stream, levels.length, { rowLength, kernel })),
  );
}

/** 0, -1, 1, -2 .. -> 0, 1, 2, 3 ..; a loop, because `Uint8Array.from` with a function takes longer than the coder. */
function zigzag(levels: Int32Array): Uint8Array {
  const symbols = new Uint8Array(levels.length);
  for (let i = 0; i < levels.length; i++) symbols[i] = levels[i] < 0 ? -2 * levels[i] - 1 : 2 * levels[i];
  return symbols;
}

/** Maps of one size together. */
function mapCoder({ maps = [], symbols }: Source): Coder {
  return inParts(
    "ans, contexts",
    maps,
    symbols.length,
    ({ symbols: part, ...shape }) => ans.compressMap(part, shape),
    (stream) => ans.decompressMap(stream),
  );
}

interface Row {
  source: string;
  coder: string;
  symbols: number;
  entropy: number;
  bitsPerSymbol: number;
  encodeMBs: number;
  decodeMBs: number;
}

async function sources(quick: boolean): Promise<Source[]> {
  const count = quick ? 1 << 20 : 8 << 20;
  const all = [
    ...[0.5, 1, 2.5, 4, 6].map((bits) => laplaceSource(bits, count)),
    ...[0.75, 0.79, 0.9].map((zeros) => featureMapSource(zeros, count >> 10)),
    uniformSource(16, count),
  ];
  const folder = dataFolder();
  if (!folder) {
    console.log(
      "ResNet weights and feature maps: skipped, no folder `models` in BITDIET_DATA or ../shared/data.",
    );
    return all;
  }
  for (const [net, bits] of [
    ["56", 5],
    ["56", 4],
    ["20", 4],
  ] as const) {
    all.push(await weightSource(`${folder}/models/resnet${net}-cifar10.safetensors`, bits));
  }
  all.push(await resnetMapSource(folder, quick ? 10 : 100));
  return all;
}

const MIB = 1 << 20;
const column = (value: string, width: number) => value.padStart(width);

/** Sizes and speeds of all coders over all sources. @returns one row a source and coder */
export async function run({ quick }: { quick: boolean }): Promise<Row[]> {
  const rows: Row[] = [];
  for (const source of await sources(quick)) rows.push(...compare(source, quick));
  fewSymbols();
  return rows;
}

function compare(source: Source, quick: boolean): Row[] {
  const coders = codersOf(source);
  const inputs = coders.map(({ slow }) => (slow ? source.symbols.subarray(0, MIB) : source.symbols));
  const streams = coders.map(({ encode }, k) => encode(inputs[k]));
  checkDecoded(source, coders, inputs, streams);
  const rounds = quick ? 3 : 7;
  const encodeMs = inTurn(
    coders.map(
      ({ encode }, k) =>
        () =>
          encode(inputs[k]),
    ),
    rounds,
  );
  const decodeMs = inTurn(
    coders.map(
      ({ decode }, k) =>
        () =>
          decode(streams[k]),
    ),
    rounds,
  );

  const entropy = huffman.shannonEntropy(huffman.countSymbols(source.symbols));
  const rows = coders.map(({ name }, k) => ({
    source: source.name,
    coder: name,
    symbols: inputs[k].length,
    entropy,
    bitsPerSymbol: (8 * streams[k].length) / inputs[k].length,
    encodeMBs: inputs[k].length / 1000 / encodeMs[k],
    decodeMBs: inputs[k].length / 1000 / decodeMs[k],
  }));
  print(source, rows, entropy);
  return rows;
}

function checkDecoded(
  source: Source,
  coders: ReturnType<typeof codersOf>,
  inputs: readonly Uint8Array[],
  streams: readonly Uint8Array[],
): void {
  for (const [k, { name, decode }] of coders.entries()) {
    const decoded = decode(streams[k]);
    if (decoded.length !== inputs[k].length || inputs[k].some((symbol, i) => symbol !== decoded[i]))
      throw new Error(`${name} does not decode ${source.name} to what it was`);
  }
}

function print(source: Source, rows: readonly Row[], entropy: number): void {
  const zlibRow = rows.find(({ coder }) => coder === "zlib HUFFMAN_ONLY")!;
  console.log(`\n${source.name}: ${source.symbols.length} symbols, entropy ${entropy.toFixed(4)} bits`);
  const parts = source.maps ?? [];
  if (parts.length > 1) {
    const bits = parts.map(
      ({ symbols }) => symbols.length * huffman.shannonEntropy(huffman.countSymbols(symbols)),
    );
    const perPart = bits.reduce((sum, part) => sum + part, 0) / source.symbols.length;
    console.log(`${parts.length} layers by themselves: entropy ${perPart.toFixed(4)} bits`);
  }
  console.log(
    "coder                     bits/symbol   over entropy   encode MB/s   decode MB/s   x zlib HUFFMAN_ONLY",
  );
  for (const { coder, symbols, bitsPerSymbol, encodeMBs, decodeMBs } of rows) {
    console.log(
      `${`${coder}${symbols < source.symbols.length ? " (1st MiB)" : ""}`.padEnd(24)}${column(bitsPerSymbol.toFixed(4), 13)}${column(
        `${(100 * (bitsPerSymbol / entropy - 1)).toFixed(2)} %`,
        15,
      )}${column(encodeMBs.toFixed(0), 14)}${column(decodeMBs.toFixed(0), 14)}${column(
        `${(encodeMBs / zlibRow.encodeMBs).toFixed(1)} / ${(decodeMBs / zlibRow.decodeMBs).toFixed(1)}`,
        22,
      )}`,
    );
  }
}

/** Engines optimize what has run for a while: this long without being measured, in milliseconds. */
const WARM = 300;

/** A contender that has used this much time sits out the remaining rounds, in milliseconds. */
const ENOUGH = 1500;

/**
 * Runs all contenders once a round, in turn. Processor time instead of the clock: other processes on the machine delay a
 * coder by far more than coders differ.
 *
 * @returns each one's best milliseconds
 */
function inTurn(contenders: (() => unknown)[], rounds: number): number[] {
  const best = contenders.map(() => Number.POSITIVE_INFINITY);
  const used = contenders.map(() => 0);
  for (const [k, contender] of contenders.entries()) {
    const start = process.cpuUsage();
    for (let ms = 0; ms < WARM; ) {
      kept = contender();
      const { user, system } = process.cpuUsage(start);
      ms = (user + system) / 1000;
      if (ms > ENOUGH) best[k] = used[k] = ms; // too slow to have another go
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const [k, contender] of contenders.entries()) {
      if (used[k] > ENOUGH) continue;
      collectGarbage(); // or a coder pays for what the one before it left
      const before = process.cpuUsage();
      kept = contender();
      const { user, system } = process.cpuUsage(before);
      used[k] += (user + system) / 1000;
      best[k] = Math.min(best[k], (user + system) / 1000);
    }
  }
  return best;
}

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** Keeps results alive so that no engine removes the work as dead code. */
export let kept: unknown;

/** A small stream takes less than the clock's grain, and a collection of garbage before it would cool the caches. */
const CALLS = 100;

function repeated(call: () => unknown): () => void {
  return () => {
    for (let k = 0; k < CALLS; k++) kept = call();
  };
}

/** What a small stream costs: 4,096 symbols, tables and all, warmed up; the mean of many calls. */
function fewSymbols(): void {
  console.log("\n4096 symbols of 16 levels: microseconds to encode + decode, warmed up");
  const coders: Coder[] = [
    ...selfDescribing,
    {
      name: "zlib HUFFMAN_ONLY",
      encode: (x) => zlib.deflateSync(x, { strategy: zlib.constants.Z_HUFFMAN_ONLY }),
      decode: (b) => zlib.inflateSync(b),
    },
  ];
  for (const bits of [1, 2.5]) {
    const symbols = laplaceSource(bits, 4096).symbols.map((symbol) => Math.min(symbol, 15));
    const streams = coders.map(({ encode }) => encode(symbols));
    const encodeMs = inTurn(
      coders.map(({ encode }) => repeated(() => encode(symbols))),
      20,
    );
    const decodeMs = inTurn(
      coders.map(({ decode }, k) => repeated(() => decode(streams[k]))),
      20,
    );
    const cells = coders.map(
      ({ name }, k) =>
        `${name} ${((1000 * encodeMs[k]) / CALLS).toFixed(0)} + ${((1000 * decodeMs[k]) / CALLS).toFixed(0)} (${streams[k].length} bytes)`,
    );
    console.log(`Laplace ${bits}: ${cells.join("   ")}`);
  }
}
