/**
 * What `compress` prints: the largest tensors first, the others in a line, and what the file is.
 *
 *     describeReport(result); // "tensor  shape  bytes …"
 */
import type { CompressedTensor, CompressReport } from "../report.js";
import { formatBytes, formatNumber, formatTable, timesSmaller } from "./print.js";

/** What the file is and how it came about, beside the report of its tensors. */
export interface CompressResult extends CompressReport {
  file: string;
  sha256: string;
  /** What the integers were chosen from. */
  method: "weights only" | "calibrated";
  scores?: { before: number; after: number };
}

/** Tensors that get a row of their own. */
const MAX_ROWS = 24;

export function describeReport(result: CompressResult): string {
  const { file, bytes, originalBytes, overheadBytes, bits, method, sha256, tensors, scores } = result;
  const quantized = tensors
    .filter(({ kept }) => kept === "quantized")
    .sort((a, b) => b.byteLength - a.byteLength);
  const others = tensors.filter(({ kept }) => kept !== "quantized");
  const rest = quantized.slice(MAX_ROWS);
  const rows = quantized.slice(0, MAX_ROWS).map(rowOf);
  return [
    formatTable([["tensor", "shape", "bytes", "bits", "SNR dB", "coder"], ...rows]),
    "",
    ...(rest.length ? [`${rest.length} smaller quantized tensors ${formatBytes(bytesOf(rest))}`] : []),
    `${others.length} other tensors ${formatBytes(bytesOf(others))}, names and topology ${formatBytes(overheadBytes)}`,
    `${file}: ${formatBytes(bytes)}, ${timesSmaller(bytes, originalBytes)} than ${formatBytes(originalBytes)} of tensors` +
      (quantized.length ? `, ${formatNumber(bits, 3)} bits per quantized weight` : ""),
    `SHA-256 ${sha256}`,
    quantized.length === 0
      ? "Nothing to quantize: every tensor is stored without loss or rounded."
      : `Integers chosen from ${method === "calibrated" ? "calibration data" : "the weights only"}.`,
    "The file was decoded and compared.",
    ...(scores ? [`Score ${scores.before} → ${scores.after}`] : []),
  ].join("\n");
}

function rowOf({ name, shape, byteLength, bits, signalToNoise, coder }: CompressedTensor): string[] {
  return [
    name,
    `[${shape}]`,
    formatBytes(byteLength),
    formatNumber(bits, 3),
    formatNumber(signalToNoise, 1),
    coder,
  ];
}

function bytesOf(tensors: readonly CompressedTensor[]): number {
  return tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
