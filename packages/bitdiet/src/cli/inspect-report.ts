/**
 * What `inspect` finds, as its JSON has it and its page shows it.
 *
 *     bitdiet inspect model.bitdiet --json | jq .bitsPerElement
 */
import type { PackedSizes } from "./statistics.js";

export interface InspectedTensor {
  name: string;
  dtype: string;
  shape: number[];
  /** In the file. */
  bytes: number;
  /** In the file, an element. */
  bits: number;
  /** Order 0, bits: of the integers of a quantized tensor, of a float tensor's uint8 version. */
  entropy?: number;
  /** Share of zeros. */
  zeros?: number;
  /** Share beyond 4 deviations. */
  outliers?: number;
  /** Root of the mean square. */
  deviation?: number;
  /** Against the second file, in dB; Infinity where they are equal. */
  signalToNoise?: number;
  /** Bytes in the second file; undefined if it has no such tensor. */
  otherBytes?: number;
}

export interface InspectReport {
  file: string;
  format: string;
  /** SHA-256 of a .bitdiet file. */
  sha256?: string;
  /** Bytes of all files that the model consists of. */
  bytes: number;
  elements: number;
  bitsPerElement: number;
  tensors: InspectedTensor[];
  baselines: PackedSizes[];
  baselinesAreEstimates: boolean;
  comparedWith?: string;
  otherBytes?: number;
  /** Tensors of the second file that the first has not, or has in another shape. */
  missing?: string[];
}

/** Tensors that are listed one by one; the others are a line, or folded. */
export const MAX_ROWS = 40;

export function largestFirst(tensors: readonly InspectedTensor[]): InspectedTensor[] {
  return [...tensors].sort((a, b) => b.bytes - a.bytes);
}
