/**
 * Which tensors of a model are those of an earlier file, in order. FORMAT.md, "Updates".
 *
 *     writePlan(sha256, [{ kind: "kept", count: 53 }, { kind: "own", count: 2 }]);   // 34 bytes
 */
import { must } from "../file/errors.js";
import { join, type Reader, readBytes, readNumber, writeNumber } from "../file/numbers.js";

/** Metadata of an update that holds its plan. */
export const PLAN_ENTRY = "update";
const HASH_BYTES = 32;

/** Kinds by their numbers in the file: as they were; written anew; what changed of them is written; there no more. */
const kinds = ["kept", "own", "changed", "gone"] as const;

/** What becomes of so many tensors in a row. */
export interface Stretch {
  kind: (typeof kinds)[number];
  /** 1 or more. */
  count: number;
}

/** @param base SHA-256 of the file that the update is for, 32 bytes */
export function writePlan(base: Uint8Array, stretches: readonly Stretch[]): Uint8Array {
  const numbers: number[] = [];
  for (const { kind, count } of stretches) writeNumber(numbers, 4 * count + kinds.indexOf(kind));
  return join([base, numbers]);
}

/** @throws {CorruptInputError} unless it is a plan for so many tensors: those of the earlier file, and the update's own */
export function readPlan(
  plan: Uint8Array,
  { before, own }: { before: number; own: number },
): { base: Uint8Array; stretches: Stretch[] } {
  const reader: Reader = { bytes: plan, position: 0 };
  const base = readBytes(reader, HASH_BYTES);
  const stretches: Stretch[] = [];
  let [old, fresh] = [0, 0];
  while (reader.position < plan.length) {
    const number = readNumber(reader);
    const [kind, count] = [kinds[number % 4], Math.floor(number / 4)];
    must(count > 0);
    if (kind !== "own") old += count;
    if (kind === "own" || kind === "changed") fresh += count;
    must(old <= before && fresh <= own);
    stretches.push({ kind, count });
  }
  must(old === before && fresh === own);
  return { base, stretches };
}
