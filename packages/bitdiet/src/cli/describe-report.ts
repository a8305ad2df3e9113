/**
 * What `compress` prints: the largest tensors first, the others in a line, and what the file is.
 *
 *     describeReport(result); // "tensor  shape  bytes …"
 */
import { type CompressedTensor, type CompressReport, NO_MORE_EXACTLY } from "../report.js";
import type { Chosen, Outputs } from "./choose.js";
import { formatBytes, formatNumber, formatTable, timesSmaller } from "./print.js";

/** What the file is and how it came about, beside the report of its tensors. */
export interface CompressResult
  extends Omit<CompressReport, "divergence">,
    Omit<Chosen, "pieces" | "report" | "metadata" | "curve"> {
  file: string;
  sha256: string;
  /** Bytes of the model's own files. */
  filesBytes: number;
  /** Bytes of the model's own files by brotli -q 11, where that is about as small. */
  brotliBytes?: number;
}

/** Tensors that get a row of their own. */
const MAX_ROWS = 24;

export function describeReport(result: CompressResult): string {
  const { file, bytes, filesBytes, overheadBytes, bits, sha256, tensors, scores, brotliBytes } = result;
  const quantized = tensors.filter(({ kept }) => kept === "quantized");
  const before = tensors.filter(({ kept }) => kept === "quantized before");
  const exact = tensors.filter(({ why }) => why === NO_MORE_EXACTLY);
  const largest = [...tensors].sort((a, b) => b.byteLength - a.byteLength);
  const rest = largest.slice(MAX_ROWS);
  const rows = largest.slice(0, MAX_ROWS).map(rowOf);
  return [
    ...(rows.length
      ? [formatTable([["tensor", "shape", "bytes", "bits", "SNR dB", "coder"], ...rows]), ""]
      : []),
    `${rest.length ? `${rest.length} smaller tensors ${formatBytes(bytesOf(rest))}, ` : ""}names and topology ${formatBytes(overheadBytes)}`,
    `${file}: ${formatBytes(bytes)}, ${timesSmaller(bytes, filesBytes)} than the ${formatBytes(filesBytes)} of its files` +
      (quantized.length ? `, ${formatNumber(bits, 3)} bits per quantized weight` : ""),
    `SHA-256 ${sha256}`,
    ...(brotliBytes !== undefined && brotliBytes < bytes
      ? [`brotli -q 11 makes ${formatBytes(brotliBytes)} of the original, less than this file takes`]
      : []),
    ...(before.length
      ? [
          `${before.length} tensors of ${formatBytes(bytesOf(before))} were quantized before: kept, integer for integer.`,
        ]
      : []),
    ...(exact.length
      ? [
          `${exact.length} weight tensors take no more with every bit, ${formatBytes(bytesOf(exact))}: kept so.`,
        ]
      : []),
    quantized.length === 0
      ? "Nothing was quantized: every tensor is kept bit for bit, or but for its last bits."
      : methodLine(result),
    "The file was decoded and compared.",
    ...outputLines(result.outputs),
    ...(scores ? [`Score ${scores.before} → ${scores.after}`] : []),
  ].join("\n");
}

function methodLine({ method, rivals }: CompressResult): string {
  const others = rivals.map(
    (rival) => `by ${rival.method} ${significant(rival.divergence)} in ${formatBytes(rival.bytes)}`,
  );
  return `Integers chosen by ${method}${others.length ? ` (divergence ${others.join(", ")})` : ""}.`;
}

function outputLines({ unchecked, inputs, kind, divergence, agreement, limit, warning }: Outputs): string[] {
  if (unchecked !== undefined) return [`Outputs were not checked: ${unchecked}`];
  const unit = kind === "kl" ? "KL divergence" : "relative squared error";
  const parts = [
    `${unit} ${significant(divergence!)}${limit === undefined ? "" : ` (limit ${significant(limit)})`}`,
  ];
  if (agreement !== undefined) parts.push(`${formatNumber(100 * agreement, 1)} % the same answers`);
  return [`Outputs on ${inputs}: ${parts.join(", ")}`, ...(warning ? [`WARNING: ${warning}.`] : [])];
}

/** Two digits that count. */
const significant = (value: number) => String(Number(value.toPrecision(2)));

function rowOf({ name, shape, byteLength, bits, signalToNoise, coder }: CompressedTensor): string[] {
  return [
    name,
    `[${shape}]`,
    formatBytes(byteLength),
    formatNumber(bits, 3),
    Number.isFinite(signalToNoise) ? formatNumber(signalToNoise, 1) : "kept",
    coder,
  ];
}

function bytesOf(tensors: readonly CompressedTensor[]): number {
  return tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
