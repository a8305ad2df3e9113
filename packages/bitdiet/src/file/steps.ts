/**
 * Steps of a quantized tensor: places on a logarithmic grid where there is one that has them all. FORMAT.md, "Steps".
 *
 *     writeSteps(Float32Array.of(0.5, 0.25, 0))   // 7 bytes
 */
import { encodeWeights } from "@bitdiet/cabac";
import { must } from "./errors.js";
import { CABAC, decoders } from "./integers.js";
import { blockOf, join, type Reader, readBlock, readBytes, readSigned, writeSigned } from "./numbers.js";
import { gridIndex, gridOf, gridStep } from "./step-grid.js";

/** Flag beside the grid: some steps are 0. */
const PRUNED = 128;

/** One step per row, or one for all; 0 for what is pruned. */
export function readSteps(reader: Reader, count: number): Float32Array {
  const grid = readBytes(reader, 1)[0];
  if (grid === 0) {
    const steps = new Float32Array(new Uint8Array(readBytes(reader, 4 * count)).buffer);
    must(steps.every((step) => step >= 0 && step < Infinity));
    return steps;
  }
  const parts = 2 ** ((grid & 127) - 1);
  const isPruned = grid >= PRUNED;
  must(parts >= 1 && parts <= 128);
  const middle = readSigned(reader);
  const list = (length: number) => {
    const bytes = readBlock(reader);
    return decoders[CABAC].decode(bytes, length, { rowLength: Math.max(1, length), kernel: [1, 1] });
  };
  if (count === 1 && isPruned) return new Float32Array(1);
  const pruned = isPruned ? list(count) : new Int32Array(count);
  const kept = pruned.filter((flag) => flag === 0).length;
  const offsets = count === 1 ? [0] : list(kept);
  const steps = new Float32Array(count);
  for (let row = 0, k = 0; row < count; row++) {
    if (pruned[row] !== 0) continue;
    const index = middle + offsets[k++];
    must(index >= -126 * parts && index < 128 * parts);
    steps[row] = gridStep(index, parts);
  }
  return steps;
}

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
