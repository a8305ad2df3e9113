/**
 * `bitdiet compress MODEL -o out.bitdiet`: chooses how fine, writes beside the place, decodes what was written, compares it, and
 * only then gives the file its name.
 *
 *     bitdiet compress tiny-darknet --bits 4 -o darknet.bitdiet
 */
import { existsSync } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { xxHash32 } from "@bitdiet/xxhash32";
import { BudgetError, type CompressReport, type CompressTarget, compressToPieces } from "../compress.js";
import { FileExistsError } from "../formats/node-files.js";
import { openBitdiet } from "../loaders/open.js";
import { openSource } from "../loaders/source.js";
import type { Model } from "../model.js";
import { loadEvaluation } from "./evaluate.js";
import { openPath } from "./open.js";
import { UsageError } from "./options.js";
import { formatBytes, formatNumber, formatTable, jsonNumbers, type Progress } from "./print.js";

export interface CompressCommand {
  output: string;
  /** Absent: the lowest quality that --max-drop allows, else 70. */
  target?: CompressTarget;
  /** A module that gives inputs to calibrate with. */
  calibrate?: string;
  evaluate?: string;
  maxDrop?: number;
  force: boolean;
  json: boolean;
}

const DEFAULT_QUALITY = 70;
/** How often the range of qualities is halved in search of the lowest that keeps the score. */
const SEARCH_STEPS = 7;

export interface Scores {
  before: number;
  after: number;
}

/**
 * @returns what to print
 * @throws {BudgetError} if size or score are missed; nothing is written then
 */
export async function compress(path: string, command: CompressCommand, progress: Progress): Promise<string> {
  const { output, force } = command;
  if (!force && existsSync(output)) throw new FileExistsError(`${output} exists already`);
  if (command.maxDrop !== undefined && !command.evaluate)
    throw new UsageError("--max-drop: needs --evaluate, which says what drops");
  const score = command.evaluate ? await loadEvaluation(command.evaluate) : undefined;
  const { model, bitdiet } = await openPath(path);
  if (bitdiet) throw new UsageError(`${path}: is compressed already`);
  const temporary = `${output}.${process.pid}.tmp`;
  const before = score && (await score(model));
  const calibrated = command.calibrate
    ? await (await calibration()).loadCalibration(command.calibrate, model, progress)
    : undefined;
  /** Writes the file, checks it, and scores what it decodes to. */
  const attempt = async (target: CompressTarget): Promise<{ report: CompressReport; scores?: Scores }> => {
    const { pieces, report } = calibrated
      ? await calibrated(target)
      : await compressToPieces(model, target, { onProgress: progress.step });
    await writePieces(pieces, temporary);
    const decoded = await checkWritten(temporary, model, report, progress);
    progress.stop();
    return {
      report,
      scores: score && before !== undefined ? { before, after: await score(decoded) } : undefined,
    };
  };
  const misses = (scores?: Scores) =>
    scores !== undefined && command.maxDrop !== undefined && scores.before - scores.after > command.maxDrop;
  try {
    await mkdir(dirname(output), { recursive: true });
    let result: Awaited<ReturnType<typeof attempt>>;
    if (command.target || command.maxDrop === undefined) {
      result = await attempt(command.target ?? { quality: DEFAULT_QUALITY });
    } else {
      let [low, high] = [0, 100];
      let quality = DEFAULT_QUALITY;
      let coarsest: number | undefined;
      for (let step = 0; step < SEARCH_STEPS; step++, quality = (low + high) / 2) {
        const { report, scores } = await attempt({ quality });
        progress.note(
          `quality ${formatNumber(quality, 1)}: ${formatBytes(report.bytes)}, ${scores?.before} → ${scores?.after}`,
        );
        if (misses(scores)) low = quality;
        else coarsest = high = quality;
      }
      result = await attempt({ quality: coarsest ?? 100 });
    }
    const { report, scores } = result;
    if (misses(scores))
      throw new BudgetError(
        `${formatBytes(report.bytes)}: the score fell from ${scores!.before} to ${scores!.after}, by more than ${command.maxDrop}`,
      );
    await rename(temporary, output);
    if (command.json) return JSON.stringify({ file: output, ...report, scores }, jsonNumbers);
    return describeReport(output, report, scores);
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The part of the command that runs networks, for which TF.js has to be installed beside this package. */
async function calibration(): Promise<typeof import("./calibrate.js")> {
  try {
    return await import("./calibrate.js");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new UsageError("--calibrate: TF.js runs the model: npm install @tensorflow/tfjs");
  }
}

async function writePieces(pieces: readonly Uint8Array[], path: string): Promise<void> {
  const file = await open(path, "w");
  try {
    for (const piece of pieces) await file.writeFile(piece);
  } finally {
    await file.close();
  }
}

/** The model as the written file gives it. @throws {Error} unless it is what was meant to be written, to the last bit */
async function checkWritten(
  path: string,
  model: Model,
  report: CompressReport,
  progress: Progress,
): Promise<Model> {
  const { size } = await stat(path);
  if (size !== report.bytes) throw new Error(`${path}: expected ${report.bytes} bytes, wrote ${size}`);
  const { model: decoded } = await openBitdiet(await openSource(path), 2 ** 31);
  for (const [name, bytes] of Object.entries(model.metadata)) {
    if (Buffer.compare(bytes, decoded.metadata[name] ?? new Uint8Array()) !== 0)
      throw new Error(`${path}: metadata ${name} does not come back`);
  }
  for (const [index, tensor] of decoded.tensors.entries()) {
    progress.step("verifying", index, decoded.tensors.length);
    const expected = report.tensors[index];
    if (tensor.name !== expected?.name || xxHash32(await tensor.bytes()) !== expected.hash)
      throw new Error(`${path}: ${tensor.name} does not come back`);
  }
  if (decoded.tensors.length !== report.tensors.length) throw new Error(`${path}: tensors are missing`);
  return decoded;
}

function describeReport(output: string, report: CompressReport, scores?: Scores): string {
  const { bytes, originalBytes, overheadBytes, bits, method, tensors } = report;
  const rows = tensors
    .filter(({ kept }) => kept === "quantized")
    .map(({ name, shape, byteLength, bits, signalToNoise, coder }) => [
      name,
      `[${shape}]`,
      formatBytes(byteLength),
      formatNumber(bits, 3),
      formatNumber(signalToNoise, 1),
      coder,
    ]);
  const others = tensors.filter(({ kept }) => kept !== "quantized");
  const otherBytes = others.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return [
    formatTable([["tensor", "shape", "bytes", "bits", "SNR dB", "coder"], ...rows]),
    "",
    `${others.length} other tensors ${formatBytes(otherBytes)}, names and topology ${formatBytes(overheadBytes)}`,
    `${output}: ${formatBytes(bytes)}, ×${formatNumber(originalBytes / bytes, 2)} smaller than ${formatBytes(originalBytes)} of tensors, ${formatNumber(bits, 3)} bits a quantized weight`,
    `Levels chosen from ${method === "calibrated" ? "calibration data" : "the weights only"}; the file was decoded and compared.`,
    ...(scores ? [`Score ${scores.before} → ${scores.after}`] : []),
  ].join("\n");
}
