/**
 * Lines of text as pictures, for models that read: seeded words and numbers in the fonts at hand, a little tilted, blurred and noisy.
 *
 *     const [line] = await textLines({ count: 1, seed: 1, height: 48, width: 320 });
 *     line.pixels; // Uint8Array of 48 × 320 × 3, RGB
 */

import { uniform as random } from "@bitdiet/zoo/data/random";
import sharp from "sharp";

export interface TextLine {
  text: string;
  /** height × width × RGB */
  pixels: Uint8Array;
}

const FONTS = ["DejaVu Sans", "DejaVu Serif", "Liberation Sans", "Liberation Serif", "Liberation Mono"];
const WORDS = (
  "total amount invoice street number garden window paper station morning quality service delivery account " +
  "summer river market house table letter system order price north center public water light power road"
).split(" ");

/** @returns lines of two words, a number, or both; equal for equal seeds and equal fonts */
export async function textLines({
  count,
  seed,
  height,
  width,
}: {
  count: number;
  seed: number;
  height: number;
  width: number;
}): Promise<TextLine[]> {
  const next = random(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)];
  const lines: TextLine[] = [];
  for (let i = 0; i < count; i++) {
    const number = `${Math.floor(next() * 9000 + 1000)}`;
    const text = pick([
      () => `${pick(WORDS)} ${pick(WORDS)}`,
      () => `${pick(WORDS)} ${number}`,
      () => `${number.slice(0, 2)}/${number.slice(2)}-${Math.floor(next() * 100)}`,
    ])();
    const size = height * (0.55 + 0.15 * next());
    const ground = 200 + Math.floor(55 * next());
    const ink = Math.floor(90 * next());
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
      <rect width="100%" height="100%" fill="rgb(${ground},${ground},${ground - 10})"/>
      <text x="8" y="${height * 0.68}" font-family="${pick(FONTS)}" font-size="${size}" textLength="${Math.min(width - 16, text.length * size * 0.55)}"
        fill="rgb(${ink},${ink},${ink + 20})" transform="rotate(${(next() - 0.5) * 2} ${width / 2} ${height / 2})">${text}</text></svg>`;
    const clean = await sharp(Buffer.from(svg))
      .removeAlpha()
      .blur(0.3 + 0.6 * next())
      .raw()
      .toBuffer();
    const noise = 12 * next();
    const pixels = Uint8Array.from(clean, (value) =>
      Math.max(0, Math.min(255, Math.round(value + noise * (next() + next() - 1)))),
    );
    lines.push({ text, pixels });
  }
  return lines;
}
