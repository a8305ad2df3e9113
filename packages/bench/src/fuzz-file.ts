/**
 * Mutation fuzzer of whole files: `npx tsx packages/bench/src/fuzz-file.ts --cases 100000`.
 *
 * Half of the altered files are left as they are: a decoder must refuse them by a typed error, or give the original's values.
 * The other half get the hashes that fit their alterations, as an attacker would give them: a decoder may take them for another
 * model then, but must not hang, throw anything untyped, or give out more than its limit.
 */
import { pathToFileURL } from "node:url";
import { xxHash32 } from "@bitdiet/stream";
import {
  type DecodedTensor,
  decodeModel,
  encodeModel,
  headerLength,
  readHeader,
  type SourceTensor,
} from "bitdiet";
import cac from "cac";
import { random } from "./sources.js";

/** Longer than any of these decodings takes by far, in milliseconds; and the most bytes that one may give out. */
const HANG = 2000;
const MAX_BYTES = 2 ** 20;

/** A model of a few small tensors of many kinds. */
function modelOf(seed: number): Uint8Array {
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  const tensors = Array.from({ length: 1 + below(5) }, (_, i): SourceTensor => {
    const name = `layer${i}.${below(2) === 0 ? "weight" : "bias"}`;
    const shape = Array.from({ length: below(5) }, () => 1 + below(4));
    const size = shape.reduce((a, b) => a * b, 1);
    if (below(4) === 0) {
      const bytes = Uint8Array.from({ length: 4 * size }, () => below(below(2) === 0 ? 3 : 256));
      return { name, dtype: below(2) === 0 ? "float32" : "int32", shape, bytes };
    }
    const axis = below(Math.max(1, shape.length));
    const spread = 3 ** below(8);
    const integers = Int32Array.from({ length: size }, () => Math.round((next() - next()) * spread));
    const rows = below(2) === 0 ? 1 : (shape[axis] ?? 1);
    const onGrid = below(2) === 0;
    const steps = Float32Array.from({ length: rows }, () =>
      below(6) === 0 ? 0 : onGrid ? 2 ** -below(9) : next(),
    );
    const refinementBits = below(4) === 0 ? 1 + below(3) : undefined;
    return { name, dtype: "float32", quantized: { shape, integers, axis, steps }, refinementBits };
  });
  const metadata = below(2) === 0 ? [{ name: "topology", bytes: new Uint8Array(below(200)).fill(97) }] : [];
  return encodeModel({ tensors, metadata }, { minGain: below(2) });
}

function mutate(bytes: Uint8Array, other: Uint8Array, next: () => number): Uint8Array {
  let altered = bytes.slice();
  const below = (n: number) => Math.floor(next() * n);
  for (let edits = 1 + below(3); edits > 0; edits--) {
    const at = below(altered.length);
    switch (below(6)) {
      case 0:
        altered[at] ^= 1 << below(8);
        break;
      case 1:
        altered[at] = [0, 255, 1, 127, 128, below(256)][below(6)];
        break;
      case 2:
        altered = altered.slice(0, at);
        break;
      case 3:
        altered = Uint8Array.from([...altered.subarray(0, at), ...other.subarray(below(other.length))]);
        break;
      case 4:
        altered.copyWithin(at, below(altered.length));
        break;
      default:
        altered = Uint8Array.from([...altered.subarray(0, at), below(256), ...altered.subarray(at)]);
    }
  }
  return altered;
}

/** Sets the hashes that a file's bytes have, as far as its header can be read. */
function rehash(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer);
  const hashHeader = (length: number) => {
    let start = 5;
    for (let numbers = 0; numbers < 3; start++) if (bytes[start] < 128) numbers++;
    view.setUint32(
      start,
      xxHash32(bytes.subarray(start + 4, length), xxHash32(bytes.subarray(0, start))),
      true,
    );
  };
  try {
    const length = headerLength(bytes) ?? 0;
    if (length > bytes.length || length < 15) return;
    hashHeader(length);
    const { metadata, tensors } = readHeader(bytes);
    const refined = tensors.flatMap(({ refinementPart }) => refinementPart ?? []);
    const parts = [...metadata, ...tensors].map(({ part }) => part).concat(refined);
    parts.forEach(({ start, length: size }, i) => {
      view.setUint32(length - 4 * (parts.length - i), xxHash32(bytes.subarray(start, start + size)), true);
    });
    hashHeader(length);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "CorruptInputError") throw error;
  }
}

export interface FileReport {
  cases: number;
  refused: number;
  /** Altered files that still are the same model, and those with hashes made to fit that are another one. */
  same: number;
  other: number;
  failures: string[];
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const equal = (a: DecodedTensor[], b: DecodedTensor[]) =>
  a.length === b.length &&
  a.every(({ name, values }, i) => name === b[i].name && hexOf(values) === hexOf(b[i].values));
const hexOf = (values: ArrayBufferView) =>
  hex(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));

/** @param decode what is to be tried: `decodeModel`, or something that should be found out */
export function fuzzFiles(
  { cases, seed }: { cases: number; seed: number },
  decode: (bytes: Uint8Array) => { tensors: DecodedTensor[] } = (bytes) =>
    decodeModel(bytes, { maxBytes: MAX_BYTES }),
): FileReport {
  const report: FileReport = { cases: 0, refused: 0, same: 0, other: 0, failures: [] };
  for (let round = seed; report.cases < cases; round++) {
    const file = modelOf(round);
    const another = modelOf(round + 1);
    const original = decodeModel(file).tensors;
    const next = random(round);
    for (let k = 0; k < 100 && report.cases < cases; k++, report.cases++) {
      const altered = mutate(file, another, next);
      const fits = k % 2 === 1;
      if (fits) rehash(altered);
      if (hex(altered) === hex(another)) continue;
      const began = performance.now();
      try {
        const { tensors } = decode(altered);
        const size = tensors.reduce((sum, { values }) => sum + values.byteLength, 0);
        if (equal(tensors, original)) report.same++;
        else if (fits && size <= MAX_BYTES) report.other++;
        else report.failures.push(`wrong decode of ${hex(altered)}`);
      } catch (error) {
        if (error instanceof Error && error.name === "CorruptInputError") report.refused++;
        else report.failures.push(`${String(error)} from ${hex(altered)}`);
      }
      const took = performance.now() - began;
      if (took > HANG) report.failures.push(`${took.toFixed(0)} ms for ${hex(altered)}`);
    }
  }
  return report;
}

function main(): void {
  const cli = cac("fuzz-file");
  cli
    .command("", "Alter files and see that the decoder notices, or at least keeps its temper")
    .option("--cases <n>", "How many", { default: 100_000 })
    .option("--seed <n>", "Where to begin; equal seeds try equal cases", { default: 1 })
    .action(({ cases, seed }: { cases: number; seed: number }) => {
      const { refused, same, other, failures } = fuzzFiles({ cases, seed });
      console.log(
        `files: ${cases} cases, ${refused} refused, ${same} unchanged in effect, ${other} another model by its hashes, ${failures.length} failures`,
      );
      for (const failure of failures.slice(0, 10)) console.log(`  ${failure}`);
      if (failures.length > 0) process.exitCode = 1;
    });
  cli.help();
  cli.parse();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) main();
