/**
 * Photos with one to five lines of text pasted over them, for models that find text.
 *
 *     await photosWithText("x", { from: 64, count: 64, side: 320, keys }); // BGR, normalised by ImageNet's mean and deviation
 */
import { uniform } from "@bitdiet/zoo/data/random";
import sharp from "sharp";
import { photos, planes } from "./pictures.js";
import type { Feeds } from "./subjects.js";
import { textLine } from "./text-lines.js";

const [MEAN, DEVIATION] = [
  [103.53, 116.28, 123.675],
  [57.375, 57.12, 58.395],
];
/** Of photo 0; each has its own. */
const SEED = 1000;

export async function photosWithText(
  name: string,
  { from, count, side, keys }: { from: number; count: number; side: number; keys: readonly string[] },
): Promise<Feeds[]> {
  const files = photos(from, count);
  return Promise.all(
    files.map(async (file, i) => {
      const pixels = await photoWithText(file.read(), { side, keys, seed: SEED + from + i });
      const data = planes(pixels, "BGR", (x, c) => (x - MEAN[c]) / DEVIATION[c]);
      return new Map([[name, { dtype: "float32" as const, shape: [1, 3, side, side], data }]]);
    }),
  );
}

async function photoWithText(
  jpeg: Uint8Array,
  { side, keys, seed }: { side: number; keys: readonly string[]; seed: number },
): Promise<Uint8Array> {
  const next = uniform(seed);
  const size = { width: 320, height: 48 };
  const pasted: { input: Buffer; left: number; top: number }[] = [];
  const lines = 1 + Math.floor(next() * 5);
  for (let i = 0; i < lines; i++) {
    const { pixels } = await textLine({ ...size, keys }, next);
    const scale = 0.3 + 0.6 * next();
    const [width, height] = [Math.round(size.width * scale), Math.round(size.height * scale)];
    const input = await sharp(pixels, { raw: { ...size, channels: 3 } })
      .resize(width, height, { fit: "fill" })
      .png()
      .toBuffer();
    const place = (room: number) => Math.floor(next() * Math.max(1, room));
    pasted.push({ input, left: place(side - width), top: place(side - height) });
  }
  const photo = sharp(jpeg).resize(side, side, { fit: "fill" }).removeAlpha().toColourspace("srgb");
  return new Uint8Array(await photo.composite(pasted).removeAlpha().raw().toBuffer());
}
