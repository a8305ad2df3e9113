/**
 * Samples of a convolution's inputs and errors as matrices: patches under the kernel at random positions of each image, columns in
 * the order of OIHW. E.g. 16 channels, 3x3: 144 columns and a last one that is always 1.
 */
import type * as tf from "@tensorflow/tfjs-core";

/** How a convolution's patches lie: kernel height and width, stride, and zeros before the first pixel. */
export interface PatchShape {
  kernel: readonly [number, number];
  stride: number;
  pad: number | "same";
}

/** Patches and errors at random positions of each image, the patches with a last 1, and both transposed for fast products. */
export function samplePatches(
  input: tf.Tensor4D,
  error: tf.Tensor4D,
  { kernel: [kernelHeight, kernelWidth], stride, pad }: PatchShape,
  perImage: number,
  next: () => number,
) {
  const [batch, height, width, channels] = input.shape;
  const [, outHeight, outWidth, rows] = error.shape;
  const x = input.dataSync();
  const e = error.dataSync();
  const before = (size: number, out: number, kernel: number) =>
    pad === "same" ? Math.max(0, (out - 1) * stride + kernel - size) >> 1 : pad;
  const top = before(height, outHeight, kernelHeight);
  const left = before(width, outWidth, kernelWidth);
  const n = channels * kernelHeight * kernelWidth + 1;
  const count = batch * perImage;
  const patches = new Float32Array(count * n);
  const transposed = new Float32Array(count * n);
  const errors = new Float32Array(count * rows);
  const positions = Int32Array.from({ length: outHeight * outWidth }, (_, i) => i);
  let at = 0;
  for (let image = 0; image < batch; image++) {
    for (let s = 0; s < perImage; s++, at++) {
      const other = s + Math.floor(next() * (positions.length - s));
      const position = positions[other];
      positions[other] = positions[s];
      positions[s] = position;
      const oy = Math.floor(position / outWidth);
      const ox = position % outWidth;
      for (let ky = 0; ky < kernelHeight; ky++) {
        const y = oy * stride - top + ky;
        if (y < 0 || y >= height) continue;
        for (let kx = 0; kx < kernelWidth; kx++) {
          const xx = ox * stride - left + kx;
          if (xx < 0 || xx >= width) continue;
          const from = ((image * height + y) * width + xx) * channels;
          for (let c = 0, to = ky * kernelWidth + kx; c < channels; c++, to += kernelHeight * kernelWidth) {
            patches[at * n + to] = x[from + c];
            transposed[to * count + at] = x[from + c];
          }
        }
      }
      patches[at * n + n - 1] = 1;
      transposed[(n - 1) * count + at] = 1;
      const from = ((image * outHeight + oy) * outWidth + ox) * rows;
      for (let r = 0; r < rows; r++) errors[r * count + at] = e[from + r];
    }
  }
  return { patches, transposed, errors, count };
}
