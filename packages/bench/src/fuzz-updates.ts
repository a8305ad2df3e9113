/**
 * What the fuzzer tries of updates: forged with hashes that fit, for a base that is as it was. They are refused, or make another model.
 */
import { createHash } from "node:crypto";
import { uniform as random } from "@bitdiet/zoo/data/random";
import { applyUpdate, decodeModel, encodeModel, readHeader, type SourceTensor } from "bitdiet";
import type { TensorEntry } from "bitdiet/decode";
import { disassembled, forge } from "./forge.js";
import type { Case, Subject } from "./fuzz.js";
import { digestOf, modelOf } from "./fuzz-files.js";
import { alteredForgery } from "./fuzz-mutate.js";

const LIMITS = { maxBytes: 2 ** 20, maxSeconds: 4 };
/** Kinds of stretches in a plan. */
const [KEPT, CHANGED, GONE] = [0, 2, 3];

/** An update of a file by changes of every kind. */
function updateOf(base: Uint8Array, seed: number): Uint8Array {
  const next = random(seed);
  const own: SourceTensor[] = [];
  const plan = readHeader(base).tensors.map((entry) => {
    const drawn = [KEPT, CHANGED, CHANGED, GONE][Math.floor(4 * next())];
    const kind = entry.dtype === "int4" && drawn === CHANGED ? KEPT : drawn;
    if (kind === CHANGED) own.push(changeOf(entry, next));
    return 4 + kind;
  });
  const hash = createHash("sha256").update(base).digest();
  return encodeModel({
    tensors: own,
    metadata: [{ name: "update", bytes: Uint8Array.of(...hash, ...plan) }],
  });
}

function changeOf({ name, dtype, shape, size, quantized }: TensorEntry, next: () => number): SourceTensor {
  const some = () => (next() < 0.8 ? 0 : Math.round(9 * (next() - next())));
  if (!quantized) return { name, dtype, shape, bytes: Uint8Array.from({ length: size }, some) };
  const integers = Int32Array.from({ length: size / 4 }, some);
  const steps = Float32Array.of(2 ** Math.round(3 * (next() - next())));
  return { name, dtype: "float32", quantized: { shape, integers, axis: quantized.axis, steps } };
}

const digestWith = async (base: Uint8Array, update: Uint8Array) =>
  digestOf(await decodeModel(await applyUpdate(base, update, LIMITS)));

export const forgedUpdates: Subject = {
  name: "updates, forged",
  decode: (bytes) => digestWith(modelOf(1), bytes),
  cases(seed) {
    const [base, other] = [modelOf(seed), modelOf(seed + 1)];
    const [update, another] = [updateOf(base, seed), updateOf(other, seed)].map(disassembled);
    const next = random(seed);
    return Array.from({ length: 100 }, (): Case => {
      const bytes = forge(alteredForgery(update, another, next));
      return { bytes, decode: async () => ((await digestWith(base, bytes)) === "" ? "wrong" : "other") };
    });
  },
};
