/**
 * Steps of a quantized tensor: places on a logarithmic grid where there is one that has them all. FORMAT.md, "Steps".
 *
 *     writeSteps(Float32Array.of(0.5, 0.25, 0))   // 7 bytes
 */
import { must } from "./errors.js";
import { decoders, WEIGHTS } from "./integers.js";
import { type Reader, readBlock, readBytes, readSigned } from "./numbers.js";
import { gridStep } from "./step-grid.js";

/** Flag beside the grid: some steps are 0. */
export const PRUNED = 128;

/** One step per row, or one for all; 0 for what is pruned. */
export async function readSteps(reader: Reader, count: number): Promise<Float32Array> {
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
  if (count === 1 && isPruned) return new Float32Array(1);
  const { decode } = await decoders[WEIGHTS].load();
  const list = (length: number) =>
    decode(readBlock(reader), length, { rowLength: Math.max(1, length), kernel: [1, 1] });
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
