/**
 * Pictures with the spectrum of natural ones: power falls with the square of the frequency (Field, JOSA A 1987), which is noise of equal
 * strength in every octave; colours that mostly share their brightness.
 *
 *     const pixels = madeUpPicture({ height: 224, width: 224, channels: 3 }, uniform(1)); // 0 to 1, height x width x 3
 */
import { normal } from "../random.js";

export interface PictureSize {
  height: number;
  width: number;
  channels: number;
}

/** Deviations of brightness, of blue against yellow, of red against green: about those of photographs. */
const OPPONENT_DEVIATIONS = [1, 0.3, 0.15];
const OPPONENTS = [
  [1, 1, 1],
  [0.7, 0.3, -1],
  [1, -1, 0],
];

/** Values of 0 to 1, row by row, channels innermost. */
export function madeUpPicture({ height, width, channels }: PictureSize, next: () => number): Float32Array {
  const fields = OPPONENT_DEVIATIONS.slice(0, channels === 1 ? 1 : 3).map((deviation) => {
    const field = octaves(height, width, next);
    // Each picture is bright or dark, of much contrast or of little.
    const [shift, contrast] = [0.6 * normal(next), 0.5 + next()];
    return field.map((value) => deviation * (contrast * value + shift));
  });
  const pixels = new Float32Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < channels; c++) {
      let value = 0;
      fields.forEach((field, o) => {
        value += field[i] * OPPONENTS[o][c % 3];
      });
      // Alpha, if there is a fourth channel, is opaque.
      pixels[i * channels + c] = c === 3 ? 1 : 1 / (1 + Math.exp(-1.6 * value));
    }
  }
  return pixels;
}

/** Noise of mean 0 and variance about 1, the same in each octave from the whole picture down to two pixels. */
function octaves(height: number, width: number, next: () => number): Float32Array {
  const field = new Float32Array(height * width);
  let count = 0;
  for (let cells = 2; cells <= Math.max(height, width); cells *= 2, count++) {
    const cell = Math.max(height, width) / cells;
    const columns = Math.ceil(width / cell) + 2;
    const grid = Float32Array.from({ length: columns * (Math.ceil(height / cell) + 2) }, () => normal(next));
    const [top, left] = [next(), next()];
    for (let y = 0; y < height; y++) {
      const [row, down] = split(top + y / cell);
      for (let x = 0; x < width; x++) {
        const [column, right] = split(left + x / cell);
        const at = row * columns + column;
        const upper = grid[at] * (1 - right) + grid[at + 1] * right;
        const lower = grid[at + columns] * (1 - right) + grid[at + columns + 1] * right;
        field[y * width + x] += upper * (1 - down) + lower * down;
      }
    }
  }
  // Interpolated noise has 4/9 of the grid's variance on average.
  const scale = 1.5 / Math.sqrt(Math.max(1, count));
  return field.map((value) => value * scale);
}

function split(position: number): [number, number] {
  const whole = Math.floor(position);
  return [whole, position - whole];
}
