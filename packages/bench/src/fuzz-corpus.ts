/**
 * Inputs that are kept: of each reason for which a subject refused bytes, the shortest that was seen. What is near to them goes other
 * ways through a decoder than what is near to valid bytes.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { uniform as random } from "@bitdiet/zoo/data/random";
import { altered } from "./fuzz-mutate.js";

export interface Corpus {
  all(): Uint8Array[];
  /** Alterations of some of them. */
  altered(seed: number): Uint8Array[];
  /** @param reason equal ones but for numbers and names are one */
  keep(bytes: Uint8Array, reason: string): void;
}

/** Nothing is kept. */
export const noCorpus: Corpus = { all: () => [], altered: () => [], keep: () => {} };

/** Longer inputs are not kept, nor more than so many. */
const MAX_BYTES = 16_384;
const MAX_KEPT = 500;
/** Alterations at a time. */
const BATCH = 50;

/** @param folder of all subjects; each has one of its own in it */
export function corpusAt(folder: string, subject: string): Corpus {
  const own = join(folder, subject.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-"));
  const kept = new Map<string, Uint8Array>();
  if (existsSync(own))
    for (const name of readdirSync(own)) kept.set(name.split(".")[0], readFileSync(join(own, name)));
  return {
    all: () => [...kept.values()],
    altered(seed) {
      const next = random(seed);
      const inputs = [...kept.values()].filter(({ length }) => length > 0);
      if (inputs.length === 0) return [];
      return Array.from({ length: BATCH }, () =>
        altered(inputs[Math.floor(next() * inputs.length)], inputs, next),
      );
    },
    keep(bytes, reason) {
      // Names in quotation marks and numbers tell inputs apart, not ways through a decoder.
      const way = reason.replaceAll(/"[^"]*"/g, '""').replaceAll(/\d+/g, "0");
      const key = createHash("sha256").update(way).digest("hex").slice(0, 12);
      const known = kept.get(key);
      if (bytes.length > MAX_BYTES || (known ? known.length <= bytes.length : kept.size >= MAX_KEPT)) return;
      kept.set(key, bytes);
      mkdirSync(own, { recursive: true });
      for (const name of readdirSync(own)) if (name.startsWith(key)) rmSync(join(own, name));
      writeFileSync(join(own, `${key}.bin`), bytes);
    },
  };
}
