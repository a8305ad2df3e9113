/**
 * `bitdiet compress MODEL -o out.bitdiet`: chooses how fine, writes beside the place, decodes what was written, compares it, and
 * only then gives the file its name.
 *
 *     bitdiet compress tiny-darknet --bits 4 -o darknet.bitdiet
 */
import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { xxHash32 } from "@bitdiet/stream";
import { BudgetError } from "../compress.js";
import { refuseUnwritable, writeWhole } from "../formats/whole-files.js";
import { openBitdiet } from "../loaders/open.js";
import { openSource } from "../loaders/source.js";
import type { Model } from "../model.js";
import { dequantizedModel } from "../networks/onnx/dequantized.js";
import { keeping, offGrid } from "../quantize/exceptions.js";
import { onTrainedLevels } from "../quantize/on-grid.js";
import { BLIND_QUALITY } from "../quantize/quantize.js";
import type { CompressReport } from "../report.js";
import { type Shard, shardOf } from "../shard.js";
import { brotliSize } from "./brotli.js";
import { type Choice, choose } from "./choose.js";
import { curveHtml } from "./curve-html.js";
import { type CompressResult, describeReport } from "./describe-report.js";
import { openPath, refuseOwnFiles } from "./open.js";
import { asUsage, UsageError } from "./options.js";
import { jsonNumbers, type Progress } from "./print.js";

export interface CompressCommand extends Omit<Choice, "data" | "hasCurve" | "shard"> {
  data: Omit<Choice["data"], "folder">;
  output: string;
  /** Where a page with other sizes goes. */
  curve?: string;
  /** Patterns of tensors that keep every bit. */
  keep: readonly string[];
  /** Outputs that moved far are a failure, not a warning. */
  strict: boolean;
  /** Makes weights of integers that the model has, rather than keep them. */
  requantize: boolean;
  /** Only this part of the tensors. */
  shard?: Pick<Shard, "index" | "count">;
  force: boolean;
  json: boolean;
}

/**
 * @returns what to print
 * @throws {BudgetError} if size, score or (strictly) outputs are missed; nothing is written then
 */
export async function compress(path: string, command: CompressCommand, progress: Progress): Promise<string> {
  const { output, force, keep, strict, requantize, json } = command;
  for (const path of [output, command.curve]) if (path !== undefined) refuseUnwritable(path, force);
  if (command.curve !== undefined && resolve(command.curve) === resolve(output))
    throw new UsageError("--curve: expected another file than --output, got the same");
  if (command.maxDrop !== undefined && !command.evaluate)
    throw new UsageError("--max-drop: needs --evaluate, which says what drops");
  const opened = await openPath(path);
  if (opened.bitdiet) throw new UsageError(`${path}: is compressed already`);
  await refuseOwnFiles(output, opened.files);
  if (command.curve !== undefined) await refuseOwnFiles(command.curve, opened.files);

  const weights = requantize
    ? ((await dequantizedModel(opened.model)) ?? offGrid(opened.model))
    : opened.model;
  if (!weights)
    throw new UsageError(
      "--requantize: expected an ONNX model with weights behind DequantizeLinear, or weights trained on a grid",
    );
  const model = onTrainedLevels(asUsage("--keep", () => keeping(weights, keep)));
  const folder = dirname(opened.path);
  const { shard: part, ...whole } = command;
  const choice: Choice = {
    ...whole,
    ...(part && choiceOfShard(command, part)),
    data: { ...command.data, folder },
    hasCurve: command.curve !== undefined,
  };
  const { shard } = choice;
  if (shard) asUsage("--shard", () => shardOf(model, shard));
  const { pieces, report, metadata, curve, ...chosen } = await choose(model, choice, progress);
  if (strict && chosen.outputs.warning) throw new BudgetError(`--strict: ${chosen.outputs.warning}`);

  await refuseOwnFiles(output, opened.files);
  const check = (written: string) => checkWritten(written, metadata, report, progress);
  const toOutput = pieces.map((bytes) => ({ path: output, bytes }));
  await writeWhole(toOutput, { force, check });
  if (curve && command.curve !== undefined) {
    const { kind = "", divergence = Number.NaN } = chosen.outputs;
    const html = curveHtml(output, curve, { kind, chosen: { bytes: report.bytes, divergence } });
    await writeWhole([{ path: command.curve, bytes: new TextEncoder().encode(html) }], { force });
  }
  const brotliBytes = shard ? undefined : await brotliSize(opened.files, report.bytes);
  const fileSizes = await Promise.all([...opened.files].map(async (file) => (await stat(file)).size));
  const filesBytes = shard ? report.originalBytes : fileSizes.reduce((sum, size) => sum + size, 0);
  progress.stop();
  const { divergence: _, ...sizes } = report;
  const result: CompressResult = {
    file: output,
    sha256: sha256(pieces),
    filesBytes,
    brotliBytes,
    ...sizes,
    ...chosen,
  };
  return json ? JSON.stringify(result, jsonNumbers) : describeReport(result);
}

/**
 * How a part of a model is chosen: by the weights alone, since who has some tensors only cannot run it; and what all parts must share.
 *
 * @throws {UsageError} if more was asked for
 */
function choiceOfShard(command: CompressCommand, { index, count }: Pick<Shard, "index" | "count">) {
  const { target, calibrate, evaluate, curve, cache, requantize, strict, maxDrop } = command;
  if (target && !("quality" in target))
    throw new UsageError("--shard: expected --quality with it; a size is that of the whole model");
  const isMore = calibrate !== undefined && calibrate !== "none";
  if (isMore || [evaluate, curve, cache, maxDrop].some((one) => one !== undefined) || requantize || strict)
    throw new UsageError("--shard: a part of a model is not run: expected none of the options that run it");
  const quality = target?.quality ?? BLIND_QUALITY;
  const { minGain, progressive, keep, bitsFor } = command;
  const settings = JSON.stringify({ quality, minGain, progressive, keep, bitsFor });
  return { target: { quality }, calibrate: "none", shard: { index, count, settings } };
}

function sha256(pieces: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}

/** @throws {Error} unless the written file is what was meant to be written, to the last bit */
async function checkWritten(
  path: string,
  metadata: Model["metadata"],
  report: CompressReport,
  progress: Progress,
): Promise<void> {
  const { size } = await stat(path);
  if (size !== report.bytes) throw new Error(`${path}: expected ${report.bytes} bytes, wrote ${size}`);
  const { model: decoded } = await openBitdiet(await openSource(path));
  for (const [name, bytes] of Object.entries(metadata)) {
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
