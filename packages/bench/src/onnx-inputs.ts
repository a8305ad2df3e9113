/**
 * Seeded inputs for the ONNX models of the bench, as they are used in the world: rendered lines of text for recognition, photos with
 * pasted lines for detection, letterboxed photos for objects.
 *
 *     const { calibration, test } = await textLines(keys, { seed: 1, calibration: 96, test: 200 });
 */
import { uniform } from "@bitdiet/zoo/data/random";
import sharp from "sharp";

export interface Pixels {
  /** RGB, height x width x 3. */
  data: Uint8Array;
  width: number;
  height: number;
}

const FONTS = [
  "Noto Sans CJK SC",
  "Noto Serif CJK SC",
  "Noto Sans CJK JP",
  "Noto Serif CJK JP",
  "Noto Sans Mono CJK SC",
  "Liberation Sans",
  "Liberation Serif",
  "Liberation Mono",
  "DejaVu Sans",
  "DejaVu Serif",
];
const WORDS =
  "the of and to in is you that it he was for on are as with his they at be this have from or one had by word but not what all were we when your can said there use an each which she do how their if will up other about out many then them these so some her would make like him into time has look two more write go see number no way could people my than first water been call who oil its now find long down day did get come made may part".split(
    " ",
  );

/** A line of Han characters, English words, numbers or plain ASCII. */
function line(keys: readonly string[], next: () => number): string {
  const pick = <T>(list: readonly T[]) => list[Math.floor(next() * list.length)];
  const several = (from: number, to: number, make: () => string, between = "") =>
    Array.from({ length: from + Math.floor(next() * (to - from + 1)) }, make).join(between);
  const kind = next();
  if (kind < 0.45) return several(2, 8, () => pick(keys));
  if (kind < 0.75) return several(1, 4, () => pick(WORDS), " ");
  if (kind < 0.9) return several(4, 14, () => pick([..."0123456789./-:, "])).trim() || "2024";
  return several(4, 14, () => String.fromCharCode(33 + Math.floor(next() * 94)));
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** One rendered line, 48 pixels high and 320 wide. */
async function renderedLine(text: string, next: () => number): Promise<Pixels> {
  const [width, height] = [320, 48];
  const isHan = /[\u4e00-\u9fff]/.test(text);
  const font = FONTS[Math.floor(next() * (isHan ? 5 : FONTS.length))];
  const size = 24 + next() * 16;
  const shade = (from: number, to: number) => Math.floor(from + next() * (to - from));
  const isDark = next() < 0.25;
  const [ink, paper] = isDark ? [shade(180, 255), shade(0, 90)] : [shade(0, 90), shade(160, 255)];
  const other = Math.max(0, Math.min(255, paper + shade(-30, 30)));
  const tilt = (3 * next() - 1.5).toFixed(2);
  const length = isHan ? text.length * size : text.length * size * 0.55;
  const squeeze = Math.min(1, 300 / length).toFixed(3);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
    <defs><linearGradient id="g"><stop offset="0" stop-color="rgb(${paper},${paper},${paper})"/><stop offset="1" stop-color="rgb(${other},${other},${other})"/></linearGradient></defs>
    <rect width="100%" height="100%" fill="url(#g)"/>
    <text x="6" y="${(24 + size * 0.36).toFixed(1)}" font-family="${font}" font-size="${size.toFixed(1)}" fill="rgb(${ink},${ink},${ink})"
      transform="rotate(${tilt} 160 24) scale(${squeeze} 1)">${escaped(text)}</text></svg>`;
  let picture = sharp(Buffer.from(svg)).removeAlpha();
  const blur = next();
  if (blur > 0.5) picture = picture.blur(0.3 + blur);
  const data = new Uint8Array(await picture.raw().toBuffer());
  addNoise(data, 18 * next(), next);
  return { data, width, height };
}

function addNoise(data: Uint8Array, deviation: number, next: () => number): void {
  for (let i = 0; i < data.length; i++) {
    const normal = Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
    data[i] = Math.max(0, Math.min(255, Math.round(data[i] + deviation * normal)));
  }
}

/** @param keys characters that the model reads */
export async function textLines(keys: readonly string[], seed: number, count: number): Promise<Pixels[]> {
  const next = uniform(seed);
  const lines: Pixels[] = [];
  for (let i = 0; i < count; i++) lines.push(await renderedLine(line(keys, next), next));
  return lines;
}

/** A photo scaled to a square, with one to five rendered lines pasted over it. */
export async function photoWithText(
  jpeg: Uint8Array,
  keys: readonly string[],
  size: number,
  seed: number,
): Promise<Pixels> {
  const next = uniform(seed);
  const pasted = await Promise.all(
    Array.from({ length: 1 + Math.floor(next() * 5) }, async () => {
      const { data, width, height } = await renderedLine(line(keys, next), next);
      const scale = 0.3 + 0.6 * next();
      const small = { width: Math.round(width * scale), height: Math.round(height * scale) };
      const raw = { width, height, channels: 3 as const };
      const input = await sharp(data, { raw })
        .resize({ ...small, fit: "fill" })
        .png()
        .toBuffer();
      const place = (room: number) => Math.floor(next() * Math.max(1, room));
      return { input, left: place(size - small.width), top: place(size - small.height) };
    }),
  );
  const photo = sharp(jpeg).resize(size, size, { fit: "fill" }).removeAlpha().toColourspace("srgb");
  const data = await photo.composite(pasted).removeAlpha().raw().toBuffer();
  return { data: new Uint8Array(data), width: size, height: size };
}

/** A photo scaled to fit into a square, grey beside it. */
export async function letterboxed(jpeg: Uint8Array, size: number): Promise<Pixels> {
  const background = { r: 114, g: 114, b: 114 };
  const picture = sharp(jpeg).resize(size, size, { fit: "contain", position: "left top", background });
  return {
    data: new Uint8Array(await picture.removeAlpha().toColourspace("srgb").raw().toBuffer()),
    width: size,
    height: size,
  };
}

/** Pixels as a tensor of three planes, BGR, each value (x - mean) / deviation. */
export function planes(
  { data, width, height }: Pixels,
  mean: readonly number[],
  deviation: readonly number[],
): Float32Array {
  const area = width * height;
  const tensor = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++)
    for (let i = 0; i < area; i++) tensor[c * area + i] = (data[3 * i + 2 - c] - mean[c]) / deviation[c];
  return tensor;
}
