// The quantized networks of a job's report: plainly, from the range that just holds the largest value and from a wider one, and with
// the entropy terms.

/** What people read instead of their keys. */
export const NETWORK_TITLES = {
  quantized: "quantized",
  quantizedWideRange: "quantized, wide range",
  compressionAware: "compression-aware",
};
export type NetworkName = keyof typeof NETWORK_TITLES;
export const NETWORK_NAMES = Object.keys(NETWORK_TITLES) as NetworkName[];
