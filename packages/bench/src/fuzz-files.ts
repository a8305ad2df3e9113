/**
 * What the fuzzer tries of whole files: bytes altered at random, and files forged with hashes that fit, which reach the decoders behind
 * them. Those are given to the Python reader, too: both must refuse the same files, and read the same from the others.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { uniform as random } from "@bitdiet/zoo/data/random";
import { decodeModel, encodeModel, type SourceTensor } from "bitdiet";
import { disassembled, forge } from "./forge.js";
import type { Case, Subject } from "./fuzz.js";
import { altered, alteredForgery } from "./fuzz-mutate.js";

/** The most that one may give out, in bytes and in seconds of its estimate. */
const LIMITS = { maxBytes: 2 ** 20, maxSeconds: 4 };
type Decoded = Awaited<ReturnType<typeof decodeModel>>;
type Decode = (bytes: Uint8Array) => Promise<Decoded>;
const limited: Decode = (bytes) => decodeModel(bytes, LIMITS);

/** A model of a few small tensors of many kinds, some of them equal. */
export function modelOf(seed: number): Uint8Array {
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  const tensors: SourceTensor[] = [];
  for (let i = 0, count = 1 + below(5); i < count; i++) {
    const name = `layer${i}.${below(2) === 0 ? "weight" : "bias"}`;
    const equal = below(6) === 0 ? tensors[below(tensors.length)] : undefined;
    tensors.push(equal ? { ...equal, name } : tensorOf(name, next));
  }
  const metadata = below(2) === 0 ? [{ name: "topology", bytes: new Uint8Array(below(200)).fill(97) }] : [];
  return encodeModel({ tensors, metadata }, { minGain: below(2), progressive: below(3) === 0 });
}

function tensorOf(name: string, next: () => number): SourceTensor {
  const below = (n: number) => Math.floor(next() * n);
  const shape = Array.from({ length: below(5) }, () => 1 + below(4));
  const size = shape.reduce((a, b) => a * b, 1);
  if (below(4) === 0) {
    const dtype = (["int8", "uint8", "int4", "uint32"] as const)[below(4)];
    const bytes = Uint8Array.from({ length: tensorBytes[dtype](size) }, () => below(40));
    const integers = { axis: below(Math.max(1, shape.length)), width: dtype === "uint32" ? 4 : 0 };
    return { name, dtype, shape, bytes, integers: dtype === "uint32" ? { ...integers, axis: 0 } : integers };
  }
  if (below(4) === 0) {
    const bytes = Uint8Array.from({ length: 4 * size }, () => below(below(2) === 0 ? 3 : 256));
    return { name, dtype: below(2) === 0 ? "float32" : "int32", shape, bytes };
  }
  const axis = below(Math.max(1, shape.length));
  const rows = shape[axis] ?? 1;
  const spread = 3 ** below(8);
  const onGrid = below(2) === 0;
  const steps = Float32Array.from({ length: below(2) === 0 ? 1 : rows }, () =>
    below(6) === 0 ? 0 : onGrid ? 2 ** -below(9) : next(),
  );
  const refinementBits = below(4) === 0 ? 1 + below(3) : undefined;
  const integers = Int32Array.from({ length: size }, () => Math.round((next() - next()) * spread));
  return { name, dtype: "float32", quantized: { shape, integers, axis, steps }, refinementBits };
}

/** Bytes of so many elements. */
const tensorBytes = {
  int8: (size: number) => size,
  uint8: (size: number) => size,
  int4: (size: number) => Math.ceil(size / 2),
  uint32: (size: number) => 4 * size,
};

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** A hash of everything in a model, as fuzz-reader.py makes it. */
export function digestOf({ tensors, metadata }: Decoded): string {
  const made = createHash("sha256");
  for (const { name, values } of tensors) {
    // Engines differ in the bits of what is no number.
    const known =
      values instanceof Float32Array ? values.map((x) => (Number.isNaN(x) ? Number.NaN : x)) : values;
    made
      .update(name)
      .update("\0")
      .update(new Uint8Array(known.buffer, known.byteOffset, known.byteLength));
    made.update("\0");
  }
  for (const { name, bytes } of metadata) made.update(name).update("\0").update(bytes).update("\0");
  return made.digest("hex");
}

/** Files altered anywhere: they are refused, or the same model. @param decode what is tried */
export const alteredFiles = (decode: Decode = limited): Subject => ({
  name: "files, altered",
  decode,
  cases(seed) {
    const [file, another] = [modelOf(seed), modelOf(seed + 1)];
    const original = decodeModel(file).then(digestOf);
    const next = random(seed);
    return Array.from({ length: 100 }, (): Case => {
      const bytes = altered(file, [another], next);
      const isAnother = hex(bytes) === hex(another);
      return {
        bytes,
        decode: async () =>
          isAnother || digestOf(await decode(bytes)) === (await original) ? "same" : "wrong",
      };
    });
  },
});

/** Files forged with hashes that fit: they are refused, or another model. @param decode what is tried */
export const forgedFiles = (decode: Decode = limited): Subject => ({
  name: "files, forged",
  decode,
  cases(seed) {
    const [file, another] = [modelOf(seed), modelOf(seed + 1)].map(disassembled);
    const next = random(seed);
    return Array.from({ length: 100 }, (): Case => {
      const bytes = forge(alteredForgery(file, another, next));
      return { bytes, decode: async () => (digestOf(await decode(bytes)) === "" ? "wrong" : "other") };
    });
  },
});

const script = fileURLToPath(new URL("fuzz-reader.py", import.meta.url));
const reader = fileURLToPath(new URL("../../bitdiet/python/reader.py", import.meta.url));
export const hasPython = (): boolean => spawnSync("python3", ["-c", "import numpy"]).status === 0;

/** Forged files once more, by both readers. */
export const bothReaders: Subject = {
  name: "files, forged, TypeScript against Python",
  decode: (bytes) => {
    const [{ decode }] = compared([bytes]);
    return decode();
  },
  cases(seed) {
    return compared(
      forgedFiles()
        .cases(seed)
        .map(({ bytes }) => bytes),
    );
  },
};

/** Limits of all sizes, such that both readers have to count alike to refuse alike. */
const limitsOf = ({ length }: Uint8Array) => ({
  maxBytes: LIMITS.maxBytes >> (2 * (length % 7)),
  maxSeconds: LIMITS.maxSeconds / 8 ** (length % 6),
});

/** What both readers make of files, within the same limits. */
function compared(files: readonly Uint8Array[]): Case[] {
  const line = (bytes: Uint8Array) => {
    const { maxBytes, maxSeconds } = limitsOf(bytes);
    return `${maxBytes} ${maxSeconds} ${hex(bytes)}\n`;
  };
  const lines = execFileSync("python3", [script, reader], {
    input: files.map(line).join(""),
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  const printed = lines.trim().split("\n");
  return files.map(
    (bytes, i): Case => ({
      bytes,
      decode: async () => {
        const verdict = await verdictOf(bytes);
        if (printed[i] === verdict) return verdict === "refused" ? "refused" : "other";
        throw new Error(`TypeScript: ${verdict}, Python: ${printed[i]}`);
      },
    }),
  );
}

async function verdictOf(bytes: Uint8Array): Promise<string> {
  try {
    return digestOf(await decodeModel(bytes, limitsOf(bytes)));
  } catch {
    return "refused";
  }
}
