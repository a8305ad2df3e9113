// Feature maps as pictures: the channels of one layer side by side, as a PNG inside the page.
import { encode } from "fast-png";

/**
 * A strip of all channels of one feature map, brightest where the largest value is.
 *
 * @param values height × width × channels, channels last, ≥ 0
 * @returns a data URL of a grey PNG, channels from left to right in rows of up to `columns`
 */
export function channelStrip(
  values: ArrayLike<number>,
  [height, width, channels]: [number, number, number],
  columns = 16,
): string {
  const gap = 1;
  const rows = Math.ceil(channels / columns);
  const across = Math.min(channels, columns);
  const stripWidth = across * (width + gap) - gap;
  const stripHeight = rows * (height + gap) - gap;
  const grey = new Uint8Array(stripWidth * stripHeight).fill(255);
  const largest = Math.max(
    1e-12,
    Array.prototype.reduce.call(values, (a, b) => Math.max(a as number, b as number), 0) as number,
  );
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < channels; channel++) {
        const top = Math.floor(channel / across) * (height + gap) + y;
        const left = (channel % across) * (width + gap) + x;
        grey[top * stripWidth + left] = Math.round(
          (220 * values[(y * width + x) * channels + channel]) / largest,
        );
      }
    }
  }
  const png = encode({ width: stripWidth, height: stripHeight, data: grey, channels: 1, depth: 8 });
  return `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
}
