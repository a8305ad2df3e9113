import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  augmentedBatch,
  DEVIATION,
  IMAGE_SIZE,
  loadCifar10,
  MEAN,
  normalizedBatch,
  readCifar10,
} from "../../src/data/cifar10.js";

/** A record whose pixel at (channel, y, x) is a known function of all three. */
function record(label: number): Uint8Array {
  const bytes = new Uint8Array(3073);
  bytes[0] = label;
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < 1024; i++) bytes[1 + channel * 1024 + i] = pixel(channel, Math.floor(i / 32), i % 32);
  }
  return bytes;
}
const pixel = (channel: number, y: number, x: number) => (channel * 80 + y * 5 + x * 3) % 256;
const normalized = (channel: number, y: number, x: number) =>
  Math.fround((pixel(channel, y, x) / 255 - MEAN[channel]!) / DEVIATION[channel]!);

describe("CIFAR-10", () => {
  it("turns planes of records into pixels with their channels together", () => {
    const { pixels, labels } = readCifar10(Uint8Array.from([...record(3), ...record(9)]));
    expect([...labels]).toEqual([3, 9]);
    expect(pixels[IMAGE_SIZE + 3 * (7 * 32 + 11) + 2]).toBe(pixel(2, 7, 11));
  });

  it("refuses bytes that are not whole records, and labels that are no class", () => {
    expect(() => readCifar10(record(1).subarray(1))).toThrow(/3073 bytes; got 3072/);
    expect(() => readCifar10(new Uint8Array())).toThrow(RangeError);
    expect(() => readCifar10(record(10))).toThrow(/Record 0 has label 10/);
  });

  it("loads the folder of the unpacked archive, or the one above it, and names a file that is missing", async () => {
    const above = await mkdtemp(join(tmpdir(), "bitdiet-cifar-"));
    const folder = join(above, "cifar-10-batches-bin");
    await mkdir(folder);
    for (const n of [1, 2, 3, 4, 5]) await writeFile(join(folder, `data_batch_${n}.bin`), record(n));
    await expect(loadCifar10(above)).rejects.toThrow(/test_batch.bin/);
    await writeFile(join(folder, "test_batch.bin"), record(7));
    for (const path of [above, folder]) {
      const { train, test } = await loadCifar10(path);
      expect([...train.labels]).toEqual([1, 2, 3, 4, 5]);
      expect(train.pixels.length).toBe(5 * IMAGE_SIZE);
      expect([...test.labels]).toEqual([7]);
    }
  });

  it("normalizes by channel", () => {
    const images = readCifar10(record(0));
    const batch = normalizedBatch(images, [0, 0]);
    expect(batch.length).toBe(2 * IMAGE_SIZE);
    expect(batch[IMAGE_SIZE + 3 * (31 * 32 + 5) + 1]).toBe(normalized(1, 31, 5));
  });

  it("augments by crops of the zero-padded image and flips, all of them, the same for the same seed", () => {
    const images = readCifar10(record(0));
    const seen = new Set<string>();
    for (let seed = 0; seed < 600; seed++) {
      const batch = augmentedBatch(images, [0], seed);
      if (seed < 3) expect(augmentedBatch(images, [0], seed)).toEqual(batch);
      // Which shift and flip gives this image? Exactly one may.
      const at = (y: number, x: number) => batch[3 * (y * 32 + x)]!;
      const matches: string[] = [];
      for (let down = -4; down <= 4; down++) {
        for (let right = -4; right <= 4; right++) {
          for (const flip of [false, true]) {
            const expected = (y: number, x: number) => {
              const [row, column] = [y + down, (flip ? 31 - x : x) + right];
              return row < 0 || row > 31 || column < 0 || column > 31 ? 0 : normalized(0, row, column);
            };
            const probes = [
              [0, 0],
              [0, 31],
              [31, 0],
              [31, 31],
              [16, 16],
              [3, 20],
              [28, 9],
              [2, 2],
              [29, 29],
            ] as const;
            if (probes.every(([y, x]) => at(y, x) === expected(y, x)))
              matches.push(`${down} ${right} ${flip}`);
          }
        }
      }
      expect(matches.length).toBe(1);
      seen.add(matches[0]!);
    }
    // 162 equally likely ones, 600 draws: 158 are expected, fewer than 145 are not.
    expect(seen.size).toBeGreaterThan(145);
  });
});
