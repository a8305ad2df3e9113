/**
 * What the fuzzer tries of the decoders behind a file's hashes: parts of tensors and of metadata altered as if nobody had looked. They
 * must be refused, or be as many values as the entry says.
 */
import { uniform as random } from "@bitdiet/zoo/data/random";
import { encodeModel } from "bitdiet";
import {
  type CheckedPart,
  decodeMetadataPart,
  decodePart,
  type MetadataEntry,
  readHeader,
  type TensorEntry,
} from "bitdiet/decode";
import type { Case, Subject } from "./fuzz.js";
import { altered } from "./fuzz-mutate.js";

interface Original {
  entry: TensorEntry | MetadataEntry;
  part: Uint8Array;
}

/** The coder's number in the file, and parts some of which it has coded. */
const partsBy = (name: string, coder: number, originals: (seed: number) => Original[]): Subject => {
  const coded = (seed: number) => originals(seed).filter(({ entry }) => coderOf(entry) === coder);
  // What any bytes are held against; not made when time is taken.
  let first: Original | undefined;
  for (let seed = 1; !first; seed++) [first] = coded(seed);
  const { entry } = first;
  return {
    name,
    decode: (bytes) => valuesOf(entry, bytes),
    cases(seed) {
      const all = coded(seed);
      const parts = all.map(({ part }) => part);
      const originalValues = all.map(({ entry, part }) => valuesOf(entry, part));
      const next = random(seed);
      return Array.from({ length: all.length === 0 ? 0 : 200 }, (): Case => {
        const which = Math.floor(next() * all.length);
        const { entry, part } = all[which];
        const bytes = altered(part, parts, next);
        return {
          bytes,
          decode: async () => {
            const before = await originalValues[which];
            const after = await valuesOf(entry, bytes);
            if (after.length !== before.length) return "wrong";
            return Buffer.compare(after, before) === 0 ? "same" : "other";
          },
        };
      });
    },
  };
};

const coderOf = (entry: Original["entry"]) =>
  "coder" in entry ? entry.coder : (entry.quantized ?? entry.integers)?.coder;

async function valuesOf(entry: Original["entry"], part: Uint8Array): Promise<Uint8Array> {
  if ("coder" in entry) return decodeMetadataPart(entry, part as CheckedPart).bytes;
  const { values } = await decodePart(entry, part as CheckedPart);
  const { buffer, byteOffset, byteLength } = values;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Tensors of all shapes and sizes of numbers, and texts of many repeats. */
function partsOf(seed: number): Original[] {
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  const tensors = Array.from({ length: 8 }, (_, i) => {
    const shape = [1 + below(9), 1 + below(40), ...(below(2) ? [1 + below(4), 1 + below(4)] : [])];
    const spread = 4 ** (6 * next() - 1);
    const integers = Int32Array.from({ length: shape.reduce((a, b) => a * b) }, () =>
      Math.round((next() - next()) * (next() < 0.01 ? 100 : 1) * spread),
    );
    const quantized = { shape, integers, axis: 0, steps: Float32Array.of(0.5) };
    return { name: `w${i}`, dtype: "float32" as const, quantized };
  });
  const kept = Array.from({ length: 4 }, (_, i) => {
    const [dtype, width] = (
      [
        ["int8", 0],
        ["uint8", 4],
        ["uint8", 0],
        ["int32", 2],
      ] as const
    )[i];
    const shape = [1 + below(9), 4 * (1 + below(9))];
    const size = shape[0] * shape[1] * (dtype === "int32" ? 4 : 1);
    const bytes = Uint8Array.from({ length: size }, () => 128 + Math.round(30 * (next() - next())));
    return { name: `kept${i}`, dtype, shape, bytes, integers: { axis: 0, width } };
  });
  const words = Array.from({ length: 20 }, () => "abcdefgh".slice(below(7)).repeat(1 + below(5)));
  const text = Array.from({ length: 10 + below(400) }, () => words[below(20)]).join(next() < 0.5 ? "," : "");
  const file = encodeModel(
    { tensors: [...tensors, ...kept], metadata: [{ name: "text", bytes: new TextEncoder().encode(text) }] },
    { minGain: 0.5 * next() },
  );
  const header = readHeader(file);
  return [...header.metadata, ...header.tensors].map((entry) => {
    const { start, length } = entry.part;
    return { entry, part: file.slice(start, start + length) };
  });
}

/** Made at the call, which takes a while. */
export const partSubjects = (): Subject[] => [
  partsBy("parts by the weight coder", 2, (seed) => partsOf(seed).filter(({ entry }) => !("coder" in entry))),
  partsBy("parts of kept integers", 2, (seed) =>
    partsOf(seed).filter(({ entry }) => "integers" in entry && entry.integers),
  ),
  partsBy("parts by lz", 2, (seed) => partsOf(seed).filter(({ entry }) => "coder" in entry)),
];
