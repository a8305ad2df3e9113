/**
 * What trained models weigh after quantization: bytes at equal KL divergence of the outputs from the float model's, as `bitdiet`
 * compresses them with calibration inputs and by weights alone, beside plain widths with gzip and brotli. Its sizes are those of whole
 * files, topology and names included, the others those of the numbers; quality is judged on weights as a decoder gives them, on
 * images that were not used for calibration.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { normalizedBatch, readCifar10 } from "@bitdiet/zoo/data/cifar10";
import { imageFolder } from "@bitdiet/zoo/data/imagenet";
import { modelOf } from "@bitdiet/zoo/nets/layers-model";
import { readResnetLayers } from "@bitdiet/zoo/nets/resnet-layers";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { type LayersModel, loadLayersModel } from "@tensorflow/tfjs-layers";
import { compressModel, floatBytes, floatValues, type Model } from "bitdiet";
import { calibrate } from "bitdiet/calibrate";
import { fromBitdiet } from "bitdiet/tfjs";
import { darknetClasses, darknetInput, readDarknet } from "./models-darknet.js";
import { dataFolder } from "./sources.js";

const DIVERGENCES = [0.03, 0.06, 0.12];
/** Qualities of compressModel for the curve by weights alone: about 1 to 5 bits. */
const QUALITIES = [15, 30, 45, 60, 75];
const BATCH = 16;

interface Subject {
  name: string;
  /** Its weights are kernels, output channels last, and biases; its outputs logits. */
  network: LayersModel;
  calibration: Pictures;
  test: Pictures;
  labels: ArrayLike<number>;
  /** Bytes that calibrated files may have, ascending. */
  sizes: number[];
  /** Bytes at DIVERGENCES as stated for these weights: by NNCodec 0.3.1's best setting, and by the prototype of this method. */
  quoted: { nncodec: (number | null)[]; prototype: number[] };
}

/** shape[0] inputs, one after another. */
interface Pictures {
  inputs: Float32Array;
  shape: number[];
}

/** One point of a curve. */
export interface Point {
  setting: string;
  bytes: number;
  divergence: number;
  right: number;
}

export type ModelResult = Awaited<ReturnType<typeof measure>>;

/** BITDIET_MODELS names some, by commas; all by default. */
export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const folder = dataFolder();
  if (folder === undefined) {
    console.log("No models: set BITDIET_DATA to the folder that holds models/.");
    return {};
  }
  await useBackend("wasm");
  const sources: Record<string, () => Subject | Promise<Subject>> = {
    "ResNet-20": () => resnet(folder, 20),
    "ResNet-56": () => resnet(folder, 56),
    "Tiny Darknet": () => darknet(folder),
  };
  const names = process.env.BITDIET_MODELS?.split(",") ?? Object.keys(sources);
  const models: ModelResult[] = [];
  for (const name of quick ? names.slice(0, 1) : names) {
    if (!(name in sources)) throw new Error(`BITDIET_MODELS: no ${name}; there are ${Object.keys(sources)}`);
    const subject = await sources[name]();
    models.push(await measure(quick ? { ...subject, sizes: subject.sizes.slice(0, 2) } : subject));
  }
  return {
    command: `npm run bench -- models${quick ? " --quick" : ""}`,
    commit: execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim(),
    // Of bitdiet's calibration; everything else is determined.
    seed: 20,
    models,
  };
}

/** Judges of networks by their logits, and of files by what they decode to, against the float network's logits. */
function judges({ test, labels }: Subject, float: Float32Array) {
  const classes = float.length / labels.length;
  const judged = (sizes: Record<string, number>, logits: Float32Array): Point[] => {
    const quality = { divergence: divergence(float, logits, classes), right: right(logits, labels, classes) };
    const points = Object.entries(sizes).map(([setting, bytes]) => ({ setting, bytes, ...quality }));
    for (const point of points) print(point, labels.length);
    return points;
  };
  const judgedFile = async (setting: string, file: Uint8Array): Promise<Point> => {
    const decoded = await loadLayersModel(fromBitdiet(file));
    const [point] = judged({ [setting]: file.length }, outputs(decoded, test));
    decoded.dispose();
    return point;
  };
  return { judged, judgedFile };
}

async function measure(subject: Subject) {
  const { name, network, calibration, test, labels, sizes, quoted } = subject;
  const images = labels.length;
  const float = outputs(network, test);
  const floatRight = right(float, labels, float.length / images);
  const { judged, judgedFile } = judges(subject, float);
  const parameters = parametersOf(network);
  const floatSize = 4 * parameters.reduce((sum, { values }) => sum + values.length, 0);
  console.log(`\n${name}: ${floatSize} float32 bytes, ${floatRight} of ${images} right`);

  const model = await modelOf(network);
  const { sensitivitySeconds, points: calibrated } = await calibratedPoints(
    model,
    calibration,
    sizes,
    judgedFile,
  );
  const weightOnly: Point[] = [];
  for (const quality of QUALITIES) {
    const { bytes } = await compressModel(model, { quality });
    weightOnly.push(await judgedFile(`weights alone, quality ${quality}`, bytes));
  }

  const plain: Point[] = [];
  for (const { sizes, values } of plainWidths(parameters)) {
    setValues(network, values);
    plain.push(...judged(sizes, outputs(network, test)));
  }
  network.dispose();

  const integers = plain.filter(({ setting }) => /^per-channel.*brotli/.test(setting));
  const rows = {
    "per-channel int-N + brotli-11": DIVERGENCES.map((kl) => bytesAt(integers, kl)),
    "NNCodec, best (quoted)": quoted.nncodec,
    "prototype (quoted)": quoted.prototype,
    "bitdiet, weights alone": DIVERGENCES.map((kl) => bytesAt(weightOnly, kl)),
    "bitdiet, calibrated": DIVERGENCES.map((kl) => bytesAt(calibrated, kl)),
  };
  printRows(name, rows);
  return {
    name,
    floatBytes: floatSize,
    floatRight,
    images,
    calibrationImages: calibration.shape[0],
    divergences: DIVERGENCES,
    bytesAtDivergence: rows as Record<string, (number | null)[]>,
    sensitivitySeconds,
    plain,
    weightOnly,
    calibrated,
  };
}

/** Files of the sizes wanted, each search starting where the one before ended. */
async function calibratedPoints(
  model: Model,
  calibration: Pictures,
  sizes: readonly number[],
  judgedFile: (setting: string, file: Uint8Array) => Promise<Point>,
) {
  let started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  const quantize = await calibrate(model, { ...calibration, logits: true });
  const sensitivitySeconds = seconds();
  const points: (Point & { seconds: number; overheadBytes: number })[] = [];
  let start: number | undefined;
  for (const maxBytes of sizes) {
    started = performance.now();
    const { bytes, report } = await compressModel(model, { maxBytes }, { quantize, start });
    const about = { seconds: seconds(), overheadBytes: report.overheadBytes };
    points.push({ ...(await judgedFile(`calibrated, ${maxBytes} bytes`, bytes)), ...about });
    start = report.lambda;
  }
  return { sensitivitySeconds, points };
}

function printRows(name: string, rows: Record<string, readonly (number | null)[]>): void {
  console.log(`\n${name}, bytes at KL ${DIVERGENCES.join(" / ")}`);
  for (const [row, bytes] of Object.entries(rows))
    console.log(`  ${row.padEnd(32)}${bytes.map((b) => `${b ?? "–"}`.padStart(10)).join("")}`);
}

function print({ setting, bytes, divergence, right }: Point, images: number): void {
  const figures = `${String(bytes).padStart(9)} bytes  KL ${divergence.toFixed(4)}  ${right} of ${images}`;
  console.log(`  ${setting.padEnd(32)}${figures}`);
}

/** Logits, images x classes. */
function outputs(network: LayersModel, { inputs, shape: [count, ...shape] }: Pictures): Float32Array {
  const size = inputs.length / count;
  const parts: Float32Array[] = [];
  for (let from = 0; from < count; from += BATCH) {
    const images = Math.min(BATCH, count - from);
    const batch = inputs.subarray(from * size, (from + images) * size);
    const logits = tf.tidy(() => network.predict(tf.tensor(batch, [images, ...shape])) as tf.Tensor);
    parts.push(logits.dataSync<"float32">().slice());
    logits.dispose();
  }
  return joined(parts);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A kernel or the biases of a layer; channels are the last axis. */
interface Parameter {
  isKernel: boolean;
  channels: number;
  values: Float32Array;
}

function parametersOf(network: LayersModel): Parameter[] {
  return network.getWeights().map((weight) => ({
    isKernel: weight.rank > 1,
    channels: weight.shape.at(-1)!,
    values: weight.dataSync<"float32">().slice(),
  }));
}

function setValues(network: LayersModel, values: readonly Float32Array[]): void {
  const tensors = network.getWeights().map(({ shape }, i) => tf.tensor(values[i], shape));
  network.setWeights(tensors);
  tf.dispose(tensors);
}

/** The usual ways: floats, uint8 a tensor (as the TF.js converter does), integers with a float32 scale a channel. */
function* plainWidths(parameters: readonly Parameter[]) {
  // Of several ways to lay out the bytes, the one that comes out smallest.
  const packed = (setting: string, layouts: Uint8Array[], values: Float32Array[]) => {
    const least = (size: (bytes: Uint8Array) => number) => Math.min(...layouts.map(size));
    const sizes = {
      [setting]: least((bytes) => bytes.length),
      [`${setting} + gzip-9`]: least((bytes) => gzipSync(bytes, { level: 9 }).length),
      [`${setting} + brotli-11`]: least(brotli),
    };
    return { sizes, values };
  };
  const bytesOf = (array: ArrayBufferView) =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const kernels = parameters.filter(({ isKernel }) => isKernel);
  const biases = parameters.filter(({ isKernel }) => !isKernel).map(({ values }) => bytesOf(values));
  /** The parameters with these kernels in place of theirs. */
  const withKernels = (values: readonly Float32Array[]) => {
    let next = 0;
    return parameters.map((parameter) => (parameter.isKernel ? values[next++] : parameter.values));
  };
  const floats = parameters.map(({ values }) => values);
  yield packed("float32", [Buffer.concat(floats.map(bytesOf))], floats);

  const halves = floats.map((values) => floatBytes("float16", values));
  yield packed(
    "float16",
    [Buffer.concat(halves)],
    halves.map((bytes) => floatValues("float16", bytes)),
  );

  const codes: Uint8Array[] = [];
  const affine = kernels.map(({ values }) => {
    const least = values.reduce((low, value) => Math.min(low, value));
    const most = values.reduce((high, value) => Math.max(high, value));
    const step = Math.fround((most - least) / 255);
    const symbols = Uint8Array.from(values, (weight) => Math.round((weight - least) / step));
    codes.push(symbols, bytesOf(Float32Array.of(least, step)));
    return Float32Array.from(symbols, (symbol) => least + step * symbol);
  });
  yield packed("uint8 a tensor", [Buffer.concat([...codes, ...biases])], withKernels(affine));

  for (const bits of [8, 7, 6, 5, 4]) {
    const integers = kernels.map((kernel) => perChannel(kernel, bits));
    const levels = integers.map((each) => each.levels);
    const side = [...integers.map(({ scales }) => bytesOf(scales)), ...biases];
    const bytes = Buffer.concat([...levels.map(bytesOf), ...side]);
    const bitPacked = Buffer.concat([...levels.map((l) => packBits(l, bits)), ...side]);
    const values = withKernels(integers.map((each) => each.values));
    yield packed(`per-channel int${bits}`, [bytes, bitPacked], values);
  }
}

function brotli(bytes: Uint8Array): number {
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: 24,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  return brotliCompressSync(bytes, { params }).length;
}

/** Symmetric, the largest magnitude of a channel at the last level. */
function perChannel({ channels, values }: Parameter, bits: number) {
  const top = 2 ** (bits - 1) - 1;
  const scales = new Float32Array(channels);
  for (const [i, value] of values.entries())
    scales[i % channels] = Math.max(scales[i % channels], Math.abs(value) / top);
  // Channel by channel, as PyTorch lays them out: neighbours have one scale.
  const rowLength = values.length / channels;
  const levels = new Int8Array(values.length);
  const rounded = new Float32Array(values.length);
  for (const [i, value] of values.entries()) {
    const channel = i % channels;
    const level = scales[channel] === 0 ? 0 : Math.round(value / scales[channel]);
    levels[channel * rowLength + Math.floor(i / channels)] = level;
    rounded[i] = level * scales[channel];
  }
  return { levels, scales, values: rounded };
}

function packBits(levels: Int8Array, bits: number): Uint8Array {
  const packed = new Uint8Array(Math.ceil((levels.length * bits) / 8));
  const mask = (1 << bits) - 1;
  levels.forEach((level, i) => {
    const at = i * bits;
    const word = (level & mask) << (at & 7);
    packed[at >> 3] |= word;
    if (word > 255) packed[(at >> 3) + 1] |= word >> 8;
  });
  return packed;
}

/** Mean of KL(float || other) over images, in nats. */
function divergence(float: Float32Array, other: Float32Array, classes: number): number {
  let sum = 0;
  for (let at = 0; at < float.length; at += classes) {
    const p = logSoftmax(float.subarray(at, at + classes));
    const q = logSoftmax(other.subarray(at, at + classes));
    for (let c = 0; c < classes; c++) sum += Math.exp(p[c]) * (p[c] - q[c]);
  }
  return sum / (float.length / classes);
}

function logSoftmax(logits: Float32Array): Float64Array {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const norm = largest + Math.log(logits.reduce((sum, z) => sum + Math.exp(z - largest), 0));
  return Float64Array.from(logits, (z) => z - norm);
}

function right(logits: Float32Array, labels: ArrayLike<number>, classes: number): number {
  let count = 0;
  for (let i = 0; i < labels.length; i++) {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    if (row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity)) === labels[i]) count++;
  }
  return count;
}

/** Bytes at a divergence, by a line through log KL between the two points around it; null beyond the curve's ends. */
function bytesAt(points: readonly Point[], divergence: number): number | null {
  const sorted = [...points].sort((a, b) => b.bytes - a.bytes);
  for (let i = 1; i < sorted.length; i++) {
    const [fine, coarse] = [sorted[i - 1], sorted[i]];
    if (fine.divergence > divergence || coarse.divergence < divergence) continue;
    const share = Math.log(divergence / fine.divergence) / Math.log(coarse.divergence / fine.divergence);
    return Math.round(fine.bytes + share * (coarse.bytes - fine.bytes));
  }
  return null;
}

async function resnet(folder: string, depth: 20 | 56): Promise<Subject> {
  const images = (file: string, count: number) => {
    const pictures = readCifar10(readFileSync(join(folder, "cifar10-lossless", file)));
    const indices = Array.from({ length: count }, (_, i) => i);
    const inputs = normalizedBatch(pictures, indices);
    return { labels: pictures.labels, data: { inputs, shape: [count, 32, 32, 3] } };
  };
  const test = images("test_500.bin", 500);
  return {
    name: `ResNet-${depth}`,
    network: await readResnetLayers(join(folder, `models/resnet${depth}-cifar10.safetensors`)),
    calibration: images("train_1000.bin", 400).data,
    test: test.data,
    labels: test.labels,
    ...(depth === 20
      ? {
          sizes: [36_000, 42_000, 50_000, 58_000, 68_000],
          quoted: { nncodec: [116698, 98866, 86068], prototype: [67729, 56364, 45904] },
        }
      : {
          sizes: [90_000, 115_000, 140_000, 180_000],
          quoted: { nncodec: [304007, 242882, 210931], prototype: [177792, 142388, 120017] },
        }),
  };
}

/** 200 of the images calibrate, spread over all; the others judge. */
async function darknet(folder: string): Promise<Subject> {
  const path = join(folder, "models/tiny-darknet-imagenet-tfjs");
  const classes = darknetClasses(path);
  const files = imageFolder(join(folder, "imagenet-val"));
  const isCalibration = (i: number) =>
    Math.floor((i * 200) / files.length) !== Math.floor(((i - 1) * 200) / files.length);
  const [calibration, test, labels]: [Float32Array[], Float32Array[], number[]] = [[], [], []];
  for (const [i, { label, read }] of files.entries()) {
    const input = await darknetInput(read());
    if (isCalibration(i)) calibration.push(input);
    else {
      test.push(input);
      labels.push(classes[label]);
    }
  }
  const data = (images: Float32Array[]) => ({ inputs: joined(images), shape: [images.length, 224, 224, 3] });
  return {
    name: "Tiny Darknet",
    network: await readDarknet(path),
    calibration: data(calibration),
    test: data(test),
    labels,
    sizes: [260_000, 310_000, 360_000, 420_000],
    quoted: { nncodec: [null, null, 529825], prototype: [431966, 369207, 309978] },
  };
}
