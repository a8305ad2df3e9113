/**
 * `bitdiet compress MODEL -o out.bitdiet`: chooses how fine, writes beside the place, decodes what was written, compares it, and
 * only then gives the file its name.
 *
 *     bitdiet compress tiny-darknet --bits 4 -o darknet.bitdiet
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { xxHash32 } from "@bitdiet/stream";
import { BudgetError, compressToPieces } from "../compress.js";
import { FileExistsError } from "../formats/node-files.js";
import { openBitdiet } from "../loaders/open.js";
import { openSource } from "../loaders/source.js";
import type { Model } from "../model.js";
import type { CompressTarget } from "../quantize/target.js";
import type { CompressReport } from "../report.js";
import { type CompressResult, describeReport } from "./describe-report.js";
import { loadEvaluation } from "./evaluate.js";
import { type OpenedModel, openPath } from "./open.js";
import { UsageError } from "./options.js";
import { formatBytes, formatNumber, jsonNumbers, type Progress } from "./print.js";
import { writeWhole } from "./write-file.js";

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

/**
 * @returns what to print
 * @throws {BudgetError} if size or score are missed; nothing is written then
 */
export async function compress(path: string, command: CompressCommand, progress: Progress): Promise<string> {
  const { output, force, maxDrop } = command;
  if (!force && existsSync(output)) throw new FileExistsError(`${output} exists already`);
  if (maxDrop !== undefined && !command.evaluate)
    throw new UsageError("--max-drop: needs --evaluate, which says what drops");
  const opened = await openPath(path);
  if (opened.bitdiet) throw new UsageError(`${path}: is compressed already`);
  await refuseOwnFiles(output, opened);
  const { model } = opened;

  const score = command.evaluate ? await loadEvaluation(command.evaluate) : undefined;
  const before = score && (await score(model));
  const quantize = command.calibrate
    ? await (await calibration()).loadCalibration(command.calibrate, model, progress)
    : undefined;
  const target =
    command.target ?? (maxDrop === undefined ? { quality: DEFAULT_QUALITY } : { divergence: maxDrop });
  const { pieces, report } = await compressToPieces(model, target, {
    quantize,
    judge: score && (async (decoded) => before! - (await noted(score, decoded, progress))),
    onProgress: progress.step,
  });
  const { divergence: drop, ...rest } = report;
  if (maxDrop !== undefined && drop! > maxDrop)
    throw new BudgetError(
      `${formatBytes(report.bytes)}: the score fell from ${before} to ${before! - drop!}, by more than ${maxDrop}`,
    );

  await refuseOwnFiles(output, opened);
  await writeWhole(output, pieces, {
    force,
    check: (written) => checkWritten(written, model, report, progress),
  });
  progress.stop();
  const result: CompressResult = {
    file: output,
    sha256: sha256(pieces),
    ...rest,
    method: quantize ? "calibrated" : "weights only",
    scores: before === undefined ? undefined : { before, after: before - drop! },
  };
  return command.json ? JSON.stringify(result, jsonNumbers) : describeReport(result);
}

async function noted(
  score: (model: Model) => Promise<number>,
  model: Model,
  progress: Progress,
): Promise<number> {
  const after = await score(model);
  progress.note(`score ${formatNumber(after, 4)}`);
  return after;
}

/** @throws {UsageError} if the output is one of the files that the model was read from, the only original perhaps */
async function refuseOwnFiles(output: string, { files }: OpenedModel): Promise<void> {
  const real = await realpath(output).catch(() => undefined);
  if (real === undefined) return;
  for (const file of files) {
    if ((await realpath(file).catch(() => undefined)) === real)
      throw new UsageError(`--output: ${output} is a file of the model that is compressed`);
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

function sha256(pieces: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}

/** @throws {Error} unless the written file is what was meant to be written, to the last bit */
async function checkWritten(
  path: string,
  model: Model,
  report: CompressReport,
  progress: Progress,
): Promise<void> {
  const { size } = await stat(path);
  if (size !== report.bytes) throw new Error(`${path}: expected ${report.bytes} bytes, wrote ${size}`);
  const { model: decoded } = await openBitdiet(await openSource(path));
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
}
