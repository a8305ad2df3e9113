// The usual way to ship a smaller TF.js model, as the yardstick: every tensor as bytes between its least and its largest
// value (what the converter's --quantize_uint8 writes), then a general-purpose compressor.
// Example: [-1, 0, 1] becomes the bytes 0, 128, 255, with a scale of 2 / 255 and a minimum of -1.

/** A tensor's values on 256 evenly spaced levels from its least to its largest. */
export function uint8Levels(values: Float32Array): Uint8Array {
  let min = Infinity;
  let max = -Infinity;
  for (const value of values) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const scale = (max - min) / 255 || 1;
  return Uint8Array.from(values, (value) => Math.round((value - min) / scale));
}

/** What a web server's compression makes of some bytes: their size after deflate, as the browser does it. */
export async function deflatedBytes(parts: Uint8Array[]): Promise<number> {
  const deflated = new Blob(parts as Uint8Array<ArrayBuffer>[])
    .stream()
    .pipeThrough(new CompressionStream("deflate-raw"));
  let bytes = 0;
  for (let reader = deflated.getReader(), next = await reader.read(); !next.done; next = await reader.read())
    bytes += next.value.length;
  return bytes;
}
