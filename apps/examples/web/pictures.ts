// The pictures that a network is tried on: the bundled digits, or the visitor's own, as pixels in the network's shape.
// Example: `scaledDigits(await sampleDigits(), { height: 32, width: 32, channels: 3 }, 200)` gives 200 pictures of 3,072 values, 0 .. 1.
import type { PictureInput } from "bitdiet/run";
import type { Picture } from "./messages.js";

/** What a network takes. */
export type PictureSize = Pick<PictureInput, "height" | "width" | "channels">;

/** Grey pictures, 0 (paper) .. 255 (ink), one after another. */
export interface Digits {
  side: number;
  labels: Uint8Array;
  pixels: Uint8Array;
}

const SIDE = 28;

/** The 200 that networks are tried on. */
export const sampleDigits = (): Promise<Digits> =>
  fetchDigits(new URL("./model/samples.bin", import.meta.url));

/** Others, which the bundled network was trained on. */
export const CALIBRATION_DIGITS = 64;
export const calibrationDigits = (): Promise<Digits> =>
  fetchDigits(new URL("./model/calibration.bin", import.meta.url));

/** A byte a label, then a byte a pixel. */
async function fetchDigits(url: URL): Promise<Digits> {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  const count = bytes.length / (1 + SIDE * SIDE);
  return { side: SIDE, labels: bytes.subarray(0, count), pixels: bytes.subarray(count) };
}

/** The first digits at a network's size, bilinear, the same in all its channels. */
export function scaledDigits(
  { side, pixels }: Digits,
  { height, width, channels }: PictureSize,
  count: number,
): Float32Array[] {
  const rows = Array.from({ length: height }, (_, y) => between(y, height, side));
  const columns = Array.from({ length: width }, (_, x) => between(x, width, side));
  return Array.from({ length: count }, (_, picture) => {
    const scaled = new Float32Array(height * width * channels);
    let at = 0;
    const digit = pixels.subarray(picture * side * side, (picture + 1) * side * side);
    for (const [top, bottom, down] of rows) {
      for (const [left, right, along] of columns) {
        const above = (1 - along) * digit[top * side + left] + along * digit[top * side + right];
        const below = (1 - along) * digit[bottom * side + left] + along * digit[bottom * side + right];
        scaled.fill(((1 - down) * above + down * below) / 255, at, (at += channels));
      }
    }
    return scaled;
  });
}

/** The pixels around a position, and how far it is from the first: the outermost pixels stay the outermost. */
function between(i: number, extent: number, side: number): [number, number, number] {
  const position = extent === 1 ? (side - 1) / 2 : (i * (side - 1)) / (extent - 1);
  const before = Math.floor(position);
  return [before, Math.min(before + 1, side - 1), position - before];
}

/** To draw: black ink on nothing. */
export async function digitPictures({ side, labels, pixels }: Digits): Promise<Picture[]> {
  const size = side * side;
  return Promise.all(
    Array.from(labels, async (label, i) => {
      const rgba = new Uint8ClampedArray(4 * size);
      for (let p = 0; p < size; p++) rgba[4 * p + 3] = pixels[i * size + p];
      return {
        name: `Picture ${i + 1}`,
        label,
        bitmap: await createImageBitmap(new ImageData(rgba, side, side)),
      };
    }),
  );
}

/** Longest side of a visitor's picture as it is shown. */
const SHOWN = 128;

/** A visitor's picture: as much of its middle as the network's frame holds, and a square of it for the eye. */
export async function ownPicture(
  file: File,
  { height, width, channels }: PictureSize,
): Promise<{ picture: Picture; pixels: Float32Array }> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name} is not a picture that this browser can read.`);
  }
  const [across, down] = middle(bitmap, width / height);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
  context.drawImage(
    bitmap,
    (bitmap.width - across) / 2,
    (bitmap.height - down) / 2,
    across,
    down,
    0,
    0,
    width,
    height,
  );
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Float32Array(height * width * channels);
  for (let p = 0; p < height * width; p++) {
    const [red, green, blue] = data.subarray(4 * p, 4 * p + 3);
    if (channels === 1) pixels[p] = (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
    else pixels.set([red / 255, green / 255, blue / 255, 1].slice(0, channels), channels * p);
  }
  const [side] = middle(bitmap, 1);
  const shown = await createImageBitmap(
    bitmap,
    (bitmap.width - side) / 2,
    (bitmap.height - side) / 2,
    side,
    side,
    {
      resizeWidth: SHOWN,
      resizeHeight: SHOWN,
      resizeQuality: "high",
    },
  );
  bitmap.close();
  return { picture: { name: file.name, bitmap: shown }, pixels };
}

/** Width and height of the largest frame of this shape in a picture. */
function middle({ width, height }: ImageBitmap, shape: number): [number, number] {
  return width > height * shape ? [height * shape, height] : [width, width / shape];
}
