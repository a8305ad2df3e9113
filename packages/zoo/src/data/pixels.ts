// Pictures as pixels, and windows of them at another size. Example: the window [0.5, 0, 1, 1] of 640 x 480 at 300 x 300 is its right
// half, narrower than it was.
import sharp from "sharp";

/** RGB bytes in row-major order. */
export interface Pixels {
  width: number;
  height: number;
  values: Uint8Array;
}

/** Decodes a file of any format that sharp knows. */
export async function readPixels(file: Uint8Array): Promise<Pixels> {
  const picture = sharp(file).toColourspace("srgb").removeAlpha();
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, values: data };
}

/**
 * A window as a square, by bilinear interpolation of the four nearest pixels, as OpenCV's resize does it: when shrinking, too,
 * where detectors were trained on what that leaves out.
 *
 * @param window corners in shares of the picture's sides; where it reaches beyond them, pixels are `outside`
 * @returns [side, side, 3]
 */
export function squareWindow(
  { width, height, values }: Pixels,
  side: number,
  [left, top, right, bottom]: ArrayLike<number> & Iterable<number> = [0, 0, 1, 1],
  outside: readonly number[] = [124, 116, 104],
): Uint8Array {
  const across = placesOf(left * width, right * width, width, side);
  const down = placesOf(top * height, bottom * height, height, side);
  const square = new Uint8Array(side * side * 3);
  for (let y = 0, to = 0; y < side; y++) {
    const [above, below] = [down.first[y] * width, down.second[y] * width];
    for (let x = 0; x < side; x++) {
      const isInside = down.isInside[y] && across.isInside[x];
      const [first, second, share] = [across.first[x], across.second[x], across.share[x]];
      for (let c = 0; c < 3; c++) {
        const upper = mix(values[3 * (above + first) + c], values[3 * (above + second) + c], share);
        const lower = mix(values[3 * (below + first) + c], values[3 * (below + second) + c], share);
        square[to++] = isInside ? Math.round(mix(upper, lower, down.share[y])) : outside[c];
      }
    }
  }
  return square;
}

const mix = (a: number, b: number, share: number): number => a + (b - a) * share;

/** Of each target pixel: the two source pixels about its middle, and how far it is from the first to the second. */
function placesOf(from: number, to: number, length: number, side: number) {
  const at = Float64Array.from({ length: side }, (_, i) => from + ((i + 0.5) * (to - from)) / side - 0.5);
  const clamped = (index: number) => Math.min(length - 1, Math.max(0, index));
  return {
    first: Int32Array.from(at, (x) => clamped(Math.floor(x))),
    second: Int32Array.from(at, (x) => clamped(Math.floor(x) + 1)),
    share: at.map((x) => x - Math.floor(x)),
    isInside: Array.from(at, (x) => x >= -0.5 && x <= length - 0.5),
  };
}
