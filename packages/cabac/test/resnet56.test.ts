import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compress, decompress } from "../src/index.js";

const data = process.env.BITDIET_DATA ?? join(import.meta.dirname, "../../../../shared/data");
const path = join(data, "models/resnet56-cifar10.safetensors");
if (!existsSync(path))
  console.warn(`The test on ResNet-56's weights is skipped: no ${path} (set BITDIET_DATA).`);

/** Convolutions (OIHW) and the last layer: 848,944 weights in 56 tensors. */
function weights(): { values: Float32Array; shape: number[] }[] {
  const file = readFileSync(path);
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, start));
  return Object.values(header as Record<string, { shape?: number[]; data_offsets: [number, number] }>)
    .filter(({ shape }) => shape && shape.length > 1)
    .map(({ shape, data_offsets: [from, to] }) => ({
      values: new Float32Array(
        file.buffer.slice(file.byteOffset + start + from, file.byteOffset + start + to),
      ),
      shape: shape!,
    }));
}

describe.skipIf(!existsSync(path))("ResNet-56's weights, each tensor a stream of its own", () => {
  it.each([
    [5, 15, 2.8, 3.025],
    [4, 7, 1.84, 1.986],
  ])("at %i bits take less than DeepCABAC's, header and checksum counted", (_bits, most, ours, deepCabac) => {
    let bytes = 0;
    let count = 0;
    for (const { values, shape } of weights()) {
      const step = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0) / most;
      const levels = Int8Array.from(values, (value) => Math.floor(value / step + 0.5));
      const rowLength = levels.length / shape[0];
      const stream = compress(levels, { rowLength, kernel: [shape[2] ?? 1, shape[3] ?? 1] });
      expect(decompress(stream).every((level, i) => level === levels[i])).toBe(true);
      bytes += stream.length;
      count += levels.length;
    }
    expect(count).toBe(848_944);
    expect((8 * bytes) / count).toBeLessThan(ours);
    expect(ours).toBeLessThan(deepCabac);
  });
});
