// CIFAR-10 in its official binary layout: records of 1 label byte and 3 x 1024 pixel bytes (red, green, blue planes
// of 32 x 32). https://www.cs.toronto.edu/~kriz/cifar.html. Example: 500 records are 1,536,500 bytes.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { uniform } from "./random.js";

/** Images of equal size with their classes; pixels as bytes, NHWC. */
export interface LabeledImages {
  /** [count, 32, 32, 3], 0..255 */
  pixels: Uint8Array;
  /** Classes 0..9, one per image. */
  labels: Uint8Array;
}

const SIDE = 32;
const PLANE = SIDE * SIDE;
const RECORD = 1 + 3 * PLANE;

/** Pixels of one image. */
export const IMAGE_SIZE = 3 * PLANE;

/** ImageNet's channel statistics in units of x/255: what the CIFAR ResNets here were trained with. */
export const MEAN = [0.485, 0.456, 0.406] as const;
export const DEVIATION = [0.229, 0.224, 0.225] as const;

/** Reads records of the official binary layout. @throws {RangeError} if the bytes are not whole, valid records. */
export function readCifar10(bytes: Uint8Array): LabeledImages {
  const count = bytes.length / RECORD;
  if (!Number.isInteger(count) || count === 0) {
    throw new RangeError(
      `CIFAR-10 records have ${RECORD} bytes; got ${bytes.length}, which is ${count} records.`,
    );
  }
  const labels = new Uint8Array(count);
  const pixels = new Uint8Array(count * IMAGE_SIZE);
  for (let image = 0; image < count; image++) {
    const label = bytes[image * RECORD]!;
    if (label > 9) throw new RangeError(`Record ${image} has label ${label}; CIFAR-10 has 0 to 9.`);
    labels[image] = label;
    for (let channel = 0; channel < 3; channel++) {
      const plane = image * RECORD + 1 + channel * PLANE;
      for (let i = 0; i < PLANE; i++) pixels[image * IMAGE_SIZE + 3 * i + channel] = bytes[plane + i]!;
    }
  }
  return { pixels, labels };
}

/**
 * Reads CIFAR-10 from the folder of the unpacked official archive (or one that holds `cifar-10-batches-bin`).
 *
 * @throws {Error} if a file is missing, named in the message.
 */
export async function loadCifar10(folder: string): Promise<{ train: LabeledImages; test: LabeledImages }> {
  const inner = join(folder, "cifar-10-batches-bin");
  const from = basename(folder) !== "cifar-10-batches-bin" && existsSync(inner) ? inner : folder;
  const read = async (name: string) => readCifar10(await readFile(join(from, name)));
  const parts = await Promise.all([1, 2, 3, 4, 5].map((n) => read(`data_batch_${n}.bin`)));
  return { train: concatenate(parts), test: await read("test_batch.bin") };
}

/**
 * Network input: (x/255 - mean) / deviation, NHWC.
 *
 * @param indices which images, in this order
 * @returns [indices.length, 32, 32, 3] in row-major order
 */
export function normalizedBatch(images: LabeledImages, indices: ArrayLike<number>): Float32Array {
  const batch = new Float32Array(indices.length * IMAGE_SIZE);
  for (let row = 0; row < indices.length; row++) {
    const source = indices[row]! * IMAGE_SIZE;
    for (let i = 0; i < IMAGE_SIZE; i++) {
      batch[row * IMAGE_SIZE + i] = NORMALIZED[i % 3]![images.pixels[source + i]!]!;
    }
  }
  return batch;
}

/**
 * The same with the usual augmentation (He et al. 2015, section 4.2): a random 32 x 32 crop of the image padded by 4
 * zero pixels (zero after normalization), flipped left to right half of the time.
 *
 * @param seed the crops and flips of a batch depend on it and on nothing else
 */
export function augmentedBatch(
  images: LabeledImages,
  indices: ArrayLike<number>,
  seed: number,
): Float32Array {
  const random = uniform(seed);
  const batch = new Float32Array(indices.length * IMAGE_SIZE);
  for (let row = 0; row < indices.length; row++) {
    const source = indices[row]! * IMAGE_SIZE;
    const down = Math.floor(random() * 9) - 4;
    const right = Math.floor(random() * 9) - 4;
    const flip = random() < 0.5;
    for (let y = Math.max(0, -down); y < Math.min(SIDE, SIDE - down); y++) {
      for (let x = Math.max(0, -right); x < Math.min(SIDE, SIDE - right); x++) {
        const from = source + 3 * ((y + down) * SIDE + x + right);
        const to = row * IMAGE_SIZE + 3 * (y * SIDE + (flip ? SIDE - 1 - x : x));
        for (let c = 0; c < 3; c++) batch[to + c] = NORMALIZED[c]![images.pixels[from + c]!]!;
      }
    }
  }
  return batch;
}

// A byte has 256 values: look them up.
const NORMALIZED = MEAN.map((mean, channel) =>
  Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - mean) / DEVIATION[channel]!),
);

function concatenate(parts: LabeledImages[]): LabeledImages {
  const count = parts.reduce((sum, { labels }) => sum + labels.length, 0);
  const all = { pixels: new Uint8Array(count * IMAGE_SIZE), labels: new Uint8Array(count) };
  let offset = 0;
  for (const { pixels, labels } of parts) {
    all.pixels.set(pixels, offset * IMAGE_SIZE);
    all.labels.set(labels, offset);
    offset += labels.length;
  }
  return all;
}
