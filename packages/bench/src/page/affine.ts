/**
 * 256 levels between the least and the largest value of a tensor, as the TF.js converter has them.
 *
 *     affine(Float32Array.of(-1, 0, 1.55));   // { min: -1, scale: 0.01, codes: Uint8Array [0, 100, 255] }
 */
export function affine(values: Float32Array): { min: number; scale: number; codes: Uint8Array } {
  let [min, max] = [Infinity, -Infinity];
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  const scale = (max - min) / 255 || 1;
  return { min, scale, codes: Uint8Array.from(values, (value) => Math.round((value - min) / scale)) };
}
