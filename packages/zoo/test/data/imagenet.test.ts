import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import sharp from "sharp";
import { beforeAll, describe, expect, test } from "vitest";
import { DEVIATION, MEAN } from "../../src/data/cifar10.js";
import { imageFolder, imagenetInput } from "../../src/data/imagenet.js";
import { dataFile } from "../../src/data/outside.js";
import { useBackend } from "../../src/training/backend.js";
import { evaluate } from "../../src/training/evaluate.js";

const folder = () => mkdtempSync(join(tmpdir(), "bitdiet-imagenet-"));
const write = (path: string, bytes: Uint8Array | string) => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
};

/** A picture whose colours are linear in place: red grows to the right, green downwards, blue is 100. */
async function ramp(width: number, height: number): Promise<Uint8Array> {
  const pixels = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++)
      pixels.set([(200 * x) / width, (200 * y) / height, 100], 3 * (y * width + x));
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

describe("an image folder", () => {
  test("of classes counts them in the order of their names", async () => {
    const root = folder();
    for (const name of ["n02/b.JPEG", "n02/a.JPEG", "n01/c.png", "n02/notes.txt"])
      write(join(root, name), "x");
    expect(imageFolder(root).map(({ name, label }) => [name, label])).toEqual([
      ["n01/c.png", 0],
      ["n02/a.JPEG", 1],
      ["n02/b.JPEG", 1],
    ]);
  });

  test("with labels.txt takes classes from there, and names an image that has none", () => {
    const root = folder();
    write(join(root, "labels.txt"), "b.JPEG 7\na.JPEG 999\n");
    for (const name of ["a.JPEG", "b.JPEG"]) write(join(root, name), name);
    const files = imageFolder(root);
    expect(files.map(({ label }) => label)).toEqual([999, 7]);
    expect(Buffer.from(files[0].read()).toString()).toBe("a.JPEG");
    write(join(root, "c.JPEG"), "");
    expect(() => imageFolder(root)).toThrow(/labels.txt: no class of c.JPEG/);
  });

  test("of neither layout is refused", () => {
    expect(() => imageFolder(folder())).toThrow(/expected a folder of images a class/);
  });
});

describe("a network's input", () => {
  test("is the middle of the picture, its shorter side scaled to 256, with ImageNet's statistics", async () => {
    const input = await imagenetInput(await ramp(512, 1024), 224);
    const at = (y: number, x: number, c: number) => input[3 * (y * 224 + x) + c] * DEVIATION[c] + MEAN[c];
    // 512 x 1024 becomes 256 x 512; the crop starts at 16 and 144.
    for (const [y, x] of [
      [0, 0],
      [100, 50],
      [223, 223],
    ]) {
      expect(at(y, x, 0) * 255).toBeCloseTo((200 * (x + 16)) / 256, -0.3);
      expect(at(y, x, 1) * 255).toBeCloseTo((200 * (y + 144)) / 512, -0.3);
      expect(at(y, x, 2) * 255).toBeCloseTo(100, 0);
    }
  });

  const images = dataFile("imagenet-val/dev658.tar");
  test.skipIf(!images)("is made from real validation images in an archive", async () => {
    const files = imageFolder(dirname(images!));
    expect(files.length).toBe(658);
    expect(files[0]).toMatchObject({ name: "ILSVRC2012_val_00000363.JPEG", label: 133 });
    const input = await imagenetInput(files[0].read());
    expect(input.length).toBe(224 * 224 * 3);
    expect(input.every(Number.isFinite)).toBe(true);
  });
});

describe("evaluating", () => {
  beforeAll(() => useBackend("wasm"));

  test("counts top-1 and top-5 in batches, the last of which is not full, and leaves no tensor behind", async () => {
    const before = tf.memory().numTensors;
    // The model's scores are the input itself: class c scores -(c - value)^2.
    const model = (x: tf.Tensor4D) => {
      const classes = tf.range(0, 10);
      return tf.neg(tf.square(tf.sub(tf.reshape(x, [-1, 1]), classes))) as tf.Tensor2D;
    };
    const image = (label: number, value: number) => ({ label, input: async () => Float32Array.of(value) });
    const images = [image(3, 3.1), image(3, 4.2), image(0, 9), image(9, 8.8), image(5, 7.4)];
    const score = await evaluate(model, images, [1, 1, 1], 2);
    expect(score).toEqual({ top1: 2 / 5, top5: 4 / 5, images: 5 });
    expect(tf.memory().numTensors).toBe(before);
  });
});
