/**
 * `bitdiet inspect FILE [FILE2]`: what is in a model, before or after compression, and what it would take in other formats. With
 * a second file, how far the first is from it: distortion, and what a pull request changed.
 *
 *     bitdiet inspect darknet.bitdiet tiny-darknet
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { floatValues } from "../formats/floats.js";
import { refuseUnwritable, writeWhole } from "../formats/whole-files.js";
import { type Dtype, elementCount, isFloat, type ModelTensor, tensorBytes } from "../model.js";
import { signalToNoise } from "../report.js";
import { type InspectedTensor, type InspectReport, largestFirst, MAX_ROWS } from "./inspect-report.js";
import { type OpenedModel, openPath, refuseOwnFiles } from "./open.js";
import { formatBytes, formatNumber, formatTable, jsonNumbers, type Progress, printable } from "./print.js";
import { htmlReport } from "./report-html.js";
import { baselineSizes, integerEntropy, packedSizes, toUint8, valueStatistics } from "./statistics.js";

/** Float32 bytes of which other formats' sizes are measured; of more a sample is. */
const MOST_MEASURED_BYTES = 5_000_000;

/** A tensor's bytes in the file that has it. */
function storedBytes(
  { bitdiet }: OpenedModel,
  index: number,
  { dtype, shape }: ModelTensor,
  decoded: number,
): number {
  if (!bitdiet) return tensorBytes(dtype, shape) ?? decoded;
  const { part, refinementPart } = bitdiet.header.tensors[index];
  return part.length + (refinementPart?.length ?? 0);
}

/** Bytes of the model's files, all of which have been read. */
async function totalBytes({ files }: OpenedModel): Promise<number> {
  const sizes = await Promise.all([...files].map(async (file) => (await stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece);
  return hash.digest("hex");
}

async function inspectModel(
  path: string,
  opened: OpenedModel,
  other: string | undefined,
  reference: OpenedModel | undefined,
  progress: Progress,
): Promise<InspectReport> {
  const { model, bitdiet } = opened;
  const elements = model.tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  // Of a large model only the leading part of each tensor is kept for the baselines.
  const share = Math.min(1, MOST_MEASURED_BYTES / (4 * elements));
  const { tensors, floats, others } = await inspectTensors(opened, reference, share, progress);
  progress.step("comparing sizes", 0, 1);
  const floatElements = tensors.reduce(
    (sum, { shape, entropy }) => sum + (entropy === undefined ? 0 : elementCount(shape)),
    0,
  );
  const baselines = await extrapolatedSizes(floats, floatElements, others);
  progress.stop();
  const bytes = await totalBytes(opened);
  const names = new Set(tensors.filter(({ otherBytes }) => otherBytes !== undefined).map(({ name }) => name));
  return {
    file: path,
    ...(bitdiet && { sha256: await sha256(opened.path) }),
    format: model.format + (bitdiet ? ", compressed" : ""),
    bytes,
    elements,
    bitsPerElement: (8 * bytes) / Math.max(1, elements),
    tensors,
    baselines,
    baselinesAreEstimates: share < 1,
    comparedWith: other,
    otherBytes: reference && (await totalBytes(reference)),
    missing: reference?.model.tensors.filter(({ name }) => !names.has(name)).map(({ name }) => name),
  };
}

/** A tensor's floats, and their integers where it is quantized. */
interface Floats {
  values: Float32Array;
  integers?: Int32Array;
}

/**
 * @param share of each tensor's floats that is kept
 * @returns the tensors, the floats, and what every other format has as it is: topology, names, tensors that are no floats
 */
async function inspectTensors(
  opened: OpenedModel,
  reference: OpenedModel | undefined,
  share: number,
  progress: Progress,
): Promise<{ tensors: InspectedTensor[]; floats: Floats[]; others: Uint8Array[] }> {
  const { model } = opened;
  const tensors: InspectedTensor[] = [];
  const floats: Floats[] = [];
  const others: Uint8Array[] = Object.values(model.metadata);
  const places = new Map(reference?.model.tensors.map(({ name }, index) => [name, index]));
  for (const [index, tensor] of model.tensors.entries()) {
    progress.step("reading", index, model.tensors.length);
    const data = await tensor.bytes();
    const before = await counterpart(reference, places.get(tensor.name), tensor);
    const inspected: InspectedTensor = {
      ...sizeOf(tensor, storedBytes(opened, index, tensor, data.length)),
      ...(before && { otherBytes: before.bytes }),
    };
    tensors.push(inspected);
    if (!isFloat(tensor.dtype)) {
      others.push(data);
      continue;
    }
    const values = floatValues(tensor.dtype, data);
    const found = { values, integers: await integersOf(opened, index) };
    Object.assign(inspected, statisticsOf(found));
    if (before && isFloat(before.dtype))
      inspected.signalToNoise = signalToNoise(found.values, floatValues(before.dtype, before.data));
    floats.push(leading(found, share));
  }
  return { tensors, floats, others };
}

/** The tensor of the same name and shape in another model, and its bytes there. */
async function counterpart(
  reference: OpenedModel | undefined,
  index: number | undefined,
  { shape }: ModelTensor,
): Promise<{ dtype: Dtype; data: Uint8Array; bytes: number } | undefined> {
  if (!reference || index === undefined) return undefined;
  const tensor = reference.model.tensors[index];
  if (`${tensor.shape}` !== `${shape}`) return undefined;
  const data = await tensor.bytes();
  return { dtype: tensor.dtype, data, bytes: storedBytes(reference, index, tensor, data.length) };
}

function sizeOf({ name, dtype, shape }: ModelTensor, bytes: number): InspectedTensor {
  return { name, dtype, shape: [...shape], bytes, bits: (8 * bytes) / Math.max(1, elementCount(shape)) };
}

async function integersOf({ bitdiet }: OpenedModel, index: number): Promise<Int32Array | undefined> {
  return (await bitdiet?.quantized(bitdiet.header.tensors[index]))?.integers;
}

function statisticsOf({ values, integers }: Floats) {
  const { zeros, outliers, deviation } = valueStatistics(values);
  return { entropy: integerEntropy(integers ?? toUint8(values)), zeros, outliers, deviation };
}

/** The first floats, and as many of the integers, which are in rows: rarely those of the same floats. */
function leading({ values, integers }: Floats, share: number): Floats {
  if (share === 1) return { values, integers };
  const count = Math.ceil(share * values.length);
  return { values: values.slice(0, count), integers: integers?.slice(0, count) };
}

/** Sizes of a whole model in other formats, from as many of its floats as there are. */
async function extrapolatedSizes(
  floats: readonly Floats[],
  floatElements: number,
  others: Uint8Array[],
): Promise<InspectReport["baselines"]> {
  const measured = floats.reduce((sum, { values }) => sum + values.length, 0);
  const scale = floatElements / Math.max(1, measured);
  const baselines = floats.length === 0 ? [] : await baselineSizes(floats);
  const rest = await packedSizes(others);
  return baselines.map(({ name, raw, gzip, brotli }) => ({
    name,
    raw: Math.round(raw * scale) + rest.raw,
    gzip: Math.round(gzip * scale) + rest.gzip,
    brotli: Math.round(brotli * scale) + rest.brotli,
  }));
}

export async function inspect(
  path: string,
  other: string | undefined,
  { json, html, force }: { json: boolean; html?: string; force: boolean },
  progress: Progress,
): Promise<string> {
  if (html) refuseUnwritable(html, force);
  const opened = await openPath(path);
  const reference = other === undefined ? undefined : await openPath(other);
  if (html) await refuseOwnFiles(html, [...opened.files, ...(reference?.files ?? [])]);
  const report = await inspectModel(path, opened, other, reference, progress);
  if (html) await writeWhole([{ path: html, bytes: Buffer.from(htmlReport(report)) }], { force });
  return json ? JSON.stringify(report, jsonNumbers) : describeModel(report);
}

function bytesOf(tensors: readonly InspectedTensor[]): number {
  return tensors.reduce((sum, { bytes }) => sum + bytes, 0);
}

function describeModel(report: InspectReport): string {
  const compared = report.comparedWith !== undefined;
  const percent = (share: number | undefined) => (share === undefined ? "–" : formatNumber(100 * share, 2));
  const tensors = largestFirst(report.tensors);
  const smaller = tensors.slice(MAX_ROWS);
  const rows = tensors
    .slice(0, MAX_ROWS)
    .map((tensor) => [
      tensor.name,
      tensor.dtype,
      `[${tensor.shape}]`,
      formatBytes(tensor.bytes),
      formatNumber(tensor.bits, 3),
      formatNumber(tensor.entropy, 3),
      percent(tensor.zeros),
      percent(tensor.outliers),
      ...(compared
        ? [
            tensor.otherBytes === undefined ? "–" : formatBytes(tensor.otherBytes),
            formatNumber(tensor.signalToNoise, 1),
          ]
        : []),
    ]);
  const sizes = report.baselines.map(({ name, raw, gzip, brotli }) => [
    name,
    formatBytes(raw),
    formatBytes(gzip),
    formatBytes(brotli),
  ]);
  return [
    formatTable([
      [
        "tensor",
        "type",
        "shape",
        "bytes",
        "bits",
        "entropy",
        "zeros %",
        "outliers %",
        ...(compared ? ["other", "SNR dB"] : []),
      ],
      ...rows,
    ]),
    ...(smaller.length ? [`${smaller.length} smaller tensors ${formatBytes(bytesOf(smaller))}`] : []),
    "",
    formatTable([["the whole model, floats as", "raw", "gzip -9", "brotli -q 11"], ...sizes]),
    ...(report.baselinesAreEstimates ? ["(extrapolated from the leading part of each tensor)"] : []),
    "",
    `${report.file}: ${printable(report.format)}, ${report.tensors.length} tensors, ${formatBytes(report.bytes)}, ${formatNumber(report.bitsPerElement, 3)} bits a number`,
    ...(report.sha256 ? [`SHA-256 ${report.sha256}`] : []),
    ...(compared ? [differenceLine(report)] : []),
  ].join("\n");
}

function differenceLine({
  bytes,
  otherBytes = 0,
  comparedWith,
  missing = [],
  tensors,
}: InspectReport): string {
  const added = tensors.filter(({ otherBytes: there }) => there === undefined).map(({ name }) => name);
  const list = (names: string[]) => printable(names.slice(0, 5).join(", ")) + (names.length > 5 ? " …" : "");
  return [
    `${comparedWith}: ${formatBytes(otherBytes)}; difference ${formatBytes(bytes - otherBytes)} (${formatNumber(100 * (bytes / otherBytes - 1), 2)} %)`,
    ...(added.length ? [`only in the first: ${list(added)}`] : []),
    ...(missing.length ? [`only in the second: ${list(missing)}`] : []),
  ].join("\n");
}
