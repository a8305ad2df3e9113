/**
 * Steps to bytes: the other side of steps.ts.
 *
 *     writeSteps(Float32Array.of(0.5, 0.25, 0));   // 7 bytes
 */
import { encodeWeights } from "@bitdiet/ans";
import { blockOf, join, writeSigned } from "./numbers.js";
import { gridIndex, gridOf } from "./step-grid.js";
import { PRUNED } from "./steps.js";

/** Steps by their places on the coarsest grid that has them all, else as they are. */
export function writeSteps(steps: Float32Array): Uint8Array {
  const parts = gridOf(steps);
  if (parts === undefined) return join([[0], new Uint8Array(steps.slice().buffer)]);
  const kept = steps.filter((step) => step !== 0);
  const indices = Int32Array.from(kept, (step) => gridIndex(step, parts));
  const middle = indices.slice().sort()[indices.length >> 1] ?? 0;
  const isPruned = kept.length < steps.length;
  const bytes = [32 - Math.clz32(parts) + (isPruned ? PRUNED : 0)];
  writeSigned(bytes, middle);
  if (steps.length === 1) return Uint8Array.from(bytes);
  const flags = isPruned
    ? [blockOf(encodeWeights(Int32Array.from(steps, (step) => (step === 0 ? 1 : 0))))]
    : [];
  return join([bytes, ...flags, blockOf(encodeWeights(indices.map((index) => index - middle)))]);
}
