/**
 * Lines of text as pictures, for models that read: seeded Han characters, words, numbers and signs in the fonts at hand (Debian's
 * fonts-noto-cjk, fonts-liberation, fonts-dejavu), a little tilted, blurred and noisy.
 *
 *     const [line] = await textLines({ count: 1, seed: 1, height: 48, width: 320 });
 *     line.pixels; // Uint8Array of 48 × 320 × 3, RGB
 */

import { uniform } from "@bitdiet/zoo/data/random";
import sharp from "sharp";

export interface TextLine {
  text: string;
  /** height × width × RGB */
  pixels: Uint8Array;
}

export interface LineSize {
  height: number;
  width: number;
  /** Han characters that the model reads; without them there are none. */
  keys?: readonly string[];
}

const HAN_FONTS = [
  "Noto Sans CJK SC",
  "Noto Serif CJK SC",
  "Noto Sans CJK JP",
  "Noto Serif CJK JP",
  "Noto Sans Mono CJK SC",
];
const FONTS = [
  ...HAN_FONTS,
  "Liberation Sans",
  "Liberation Serif",
  "Liberation Mono",
  "DejaVu Sans",
  "DejaVu Serif",
];
const WORDS = (
  "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not what all " +
  "were we when your can said there use an each which she do how their if will up other about out many then them these so some " +
  "her would make like him into time has look two more write go see number no way could people my than first water been call " +
  "who oil its now find long down day did get come made may part"
).split(" ");

type Random = () => number;

/** @returns the same lines for equal seeds and equal fonts */
export async function textLines({
  count,
  seed,
  ...size
}: { count: number; seed: number } & LineSize): Promise<TextLine[]> {
  const next = uniform(seed);
  const lines: TextLine[] = [];
  for (let i = 0; i < count; i++) lines.push(await textLine(size, next));
  return lines;
}

export async function textLine({ height, width, keys = [] }: LineSize, next: Random): Promise<TextLine> {
  const text = contents(keys, next);
  const unit = height / 48;
  const isHan = /[\u4e00-\u9fff]/.test(text);
  const font = pick(isHan ? HAN_FONTS : FONTS, next);
  const size = (24 + next() * 16) * unit;
  const shade = (from: number, to: number) => Math.floor(from + next() * (to - from));
  const isDark = next() < 0.25;
  const [ink, paper] = isDark ? [shade(180, 255), shade(0, 90)] : [shade(0, 90), shade(160, 255)];
  const other = Math.max(0, Math.min(255, paper + shade(-30, 30)));
  const tilt = (3 * next() - 1.5).toFixed(2);
  const length = isHan ? text.length * size : text.length * size * 0.55;
  const squeeze = Math.min(1, (width - 20) / length).toFixed(3);
  const grey = (value: number) => `rgb(${value},${value},${value})`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
    <defs><linearGradient id="g"><stop offset="0" stop-color="${grey(paper)}"/><stop offset="1" stop-color="${grey(other)}"/></linearGradient></defs>
    <rect width="100%" height="100%" fill="url(#g)"/>
    <text x="${6 * unit}" y="${(height / 2 + size * 0.36).toFixed(1)}" font-family="${font}" font-size="${size.toFixed(1)}" fill="${grey(ink)}"
      transform="rotate(${tilt} ${width / 2} ${height / 2}) scale(${squeeze} 1)">${escaped(text)}</text></svg>`;
  let picture = sharp(Buffer.from(svg)).removeAlpha();
  const blur = next();
  if (blur > 0.5) picture = picture.blur(0.3 + blur);
  const pixels = new Uint8Array(await picture.raw().toBuffer());
  addNoise(pixels, 18 * next(), next);
  return { text, pixels };
}

/** Han characters if there are any, English words, numbers or other ASCII. */
function contents(keys: readonly string[], next: Random): string {
  const several = (from: number, to: number, make: () => string, between = "") =>
    Array.from({ length: from + Math.floor(next() * (to - from + 1)) }, make).join(between);
  const kind = keys.length > 0 ? next() : 0.45 + 0.55 * next();
  if (kind < 0.45) return several(2, 8, () => pick(keys, next));
  if (kind < 0.75) return several(1, 4, () => pick(WORDS, next), " ");
  if (kind < 0.9) return several(4, 14, () => pick([..."0123456789./-:, "], next)).trim() || "2024";
  return several(4, 14, () => String.fromCharCode(33 + Math.floor(next() * 94)));
}

function pick<T>(list: readonly T[], next: Random): T {
  return list[Math.floor(next() * list.length)];
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

function addNoise(pixels: Uint8Array, deviation: number, next: Random): void {
  for (let i = 0; i < pixels.length; i++) {
    const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    pixels[i] = Math.max(0, Math.min(255, Math.round(pixels[i] + deviation * normal)));
  }
}
