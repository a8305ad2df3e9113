/**
 * What trained models weigh after quantization: bytes at equal KL divergence of the outputs from the float model's, calibrated and
 * by weights alone, beside plain widths with gzip and brotli. Sizes are those of whole files without topology, quality is judged on
 * weights as a decoder gives them, on images that were not used for calibration.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { normalizedBatch, readCifar10 } from "@bitdiet/examples/data/cifar10";
import { imageFolder } from "@bitdiet/examples/data/imagenet";
import { useBackend } from "@bitdiet/examples/setup";
import { decodeModel } from "../../bitdiet/src/decode.js";
import { encodeModel, type SourceTensor } from "../../bitdiet/src/encode.js";
import { floatBytes, floatValues } from "../../bitdiet/src/floats.js";
import { measureSensitivities, quantizeCalibrated } from "../../bitdiet/src/quantize/calibrated.js";
import type { CalibrationLayer, LayerParameters } from "../../bitdiet/src/quantize/calibration-network.js";
import { quantizeWeights } from "../../bitdiet/src/quantize/weight-only.js";
import { darknetClasses, darknetInput, readDarknet } from "./models-darknet.js";
import {
  type CalibrationOptions,
  calibrationNetwork,
  outputs,
  type TensorNetwork,
} from "./models-network.js";
import { readResnet } from "./models-resnet.js";
import { dataFolder } from "./sources.js";

const SEED = 1;
const DIVERGENCES = [0.03, 0.06, 0.12];

interface Model {
  name: string;
  network: TensorNetwork;
  classes: number;
  calibration: Float32Array[];
  test: Float32Array[];
  labels: ArrayLike<number>;
  options: CalibrationOptions;
  /** From coarse to fine. */
  lambdas: number[];
  /** Bytes at DIVERGENCES as stated for these weights: by NNCodec 0.3.1's best setting, and by the prototype of this method. */
  quoted: { nncodec: (number | null)[]; prototype: number[] };
}

/** One point of a curve. */
interface Point {
  setting: string;
  bytes: number;
  divergence: number;
  right: number;
}

/** BITDIET_MODELS names some, by commas; all by default. */
export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const folder = dataFolder();
  if (folder === undefined) {
    console.log("No models: set BITDIET_DATA to the folder that holds models/.");
    return {};
  }
  await useBackend("wasm");
  const sources: Record<string, () => Model | Promise<Model>> = {
    "ResNet-20": () => resnet(folder, 20),
    "ResNet-56": () => resnet(folder, 56),
    "Tiny Darknet": () => darknet(folder),
  };
  const names = process.env.BITDIET_MODELS?.split(",") ?? Object.keys(sources);
  const models = [];
  for (const name of quick ? names.slice(0, 1) : names) {
    if (!(name in sources)) throw new Error(`BITDIET_MODELS: no ${name}; there are ${Object.keys(sources)}`);
    const model = await sources[name]();
    models.push(await measure(quick ? { ...model, lambdas: model.lambdas.slice(1, 3) } : model));
  }
  return {
    command: "npm run bench -- models",
    commit: execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim(),
    seed: SEED,
    models,
  };
}

async function measure(model: Model) {
  const { name, network, test, labels, classes, quoted } = model;
  const float = outputs(network, test);
  const images = labels.length;
  const judge = (sizes: Record<string, number>, parameters: readonly LayerParameters[]): Point[] => {
    const logits = outputs(network, test, parameters);
    const quality = {
      divergence: divergence(float, logits, classes),
      right: right(logits, labels, classes),
    };
    const points = Object.entries(sizes).map(([setting, bytes]) => ({ setting, bytes, ...quality }));
    for (const point of points) print(point, images);
    return points;
  };
  const floatBytes = 4 * network.layers.reduce((sum, layer) => sum + layer.weights.length + layer.rows, 0);
  console.log(`\n${name}: ${floatBytes} float32 bytes, ${right(float, labels, classes)} of ${images} right`);

  const calibration = calibrationNetwork(network, model.calibration, model.options);
  let started = performance.now();
  const sensitivities = await measureSensitivities(calibration);
  const sensitivitySeconds = (performance.now() - started) / 1000;
  const calibrated: (Point & { seconds: number })[] = [];
  for (const lambda of model.lambdas) {
    started = performance.now();
    const { layers } = await quantizeCalibrated(calibration, sensitivities, lambda);
    const seconds = (performance.now() - started) / 1000;
    const tensors = network.layers.flatMap((layer, i): SourceTensor[] => {
      const { levels, steps, biasLevels, biasStep } = layers[i];
      const biases = { shape: [layer.rows], levels: biasLevels, axis: 0, steps: Float32Array.of(biasStep) };
      return [
        {
          name: `${layer.name}.weight`,
          dtype: "float32",
          quantized: { shape: shapeOf(layer), levels, axis: 0, steps },
        },
        { name: `${layer.name}.bias`, dtype: "float32", quantized: biases },
      ];
    });
    const { bytes, parameters } = throughFile(network.layers, tensors);
    const [point] = judge({ [`calibrated, lambda ${lambda}`]: bytes }, parameters);
    calibrated.push({ ...point, seconds });
  }

  const plain: Point[] = [];
  for (const { sizes, parameters } of plainWidths(network.layers)) plain.push(...judge(sizes, parameters));

  const weightOnly = [1, 2, 3, 4, 5].map((fineness) => {
    const tensors = network.layers.flatMap((layer): SourceTensor[] => [
      {
        name: `${layer.name}.weight`,
        dtype: "float32",
        quantized: quantizeWeights({ values: layer.weights, shape: shapeOf(layer), axis: 0 }, fineness)!,
      },
      halfBiases(layer),
    ]);
    const { bytes, parameters } = throughFile(network.layers, tensors);
    return judge({ [`weights alone, fineness ${fineness}`]: bytes }, parameters)[0];
  });

  const integers = plain.filter(({ setting }) => /^per-channel.*brotli/.test(setting));
  const rows = {
    "per-channel int-N + brotli-11": DIVERGENCES.map((kl) => bytesAt(integers, kl)),
    "NNCodec, best (quoted)": quoted.nncodec,
    "prototype (quoted)": quoted.prototype,
    "weights alone": DIVERGENCES.map((kl) => bytesAt(weightOnly, kl)),
    calibrated: DIVERGENCES.map((kl) => bytesAt(calibrated, kl)),
  };
  console.log(`\n${name}, bytes at KL ${DIVERGENCES.join(" / ")}`);
  for (const [row, bytes] of Object.entries(rows))
    console.log(`  ${row.padEnd(32)}${bytes.map((b) => `${b ?? "–"}`.padStart(10)).join("")}`);
  return {
    name,
    floatBytes,
    floatRight: right(float, labels, classes),
    images,
    calibrationImages: model.calibration.reduce(
      (sum, batch) => sum + batch.length / network.shape.reduce((a, b) => a * b),
      0,
    ),
    options: model.options,
    bytesAtDivergence: { divergences: DIVERGENCES, ...rows },
    sensitivitySeconds,
    plain,
    weightOnly,
    calibrated,
  };
}

function print({ setting, bytes, divergence, right }: Point, images: number): void {
  const figures = `${String(bytes).padStart(9)} bytes  KL ${divergence.toFixed(4)}  ${right} of ${images}`;
  console.log(`  ${setting.padEnd(32)}${figures}`);
}

/** PyTorch's layout. */
function shapeOf({ rows, columns, kernel: [height, width] }: CalibrationLayer): number[] {
  return [rows, columns / (height * width), height, width];
}

/** float32 with the precision of float16, whose last bytes take no room. */
function halfBiases({ name, rows, biases }: CalibrationLayer): SourceTensor {
  const halves = floatValues("float16", floatBytes("float16", biases));
  return { name: `${name}.bias`, dtype: "float32", shape: [rows], bytes: floatBytes("float32", halves) };
}

/** The size of the file, and what it decodes to. */
function throughFile(layers: readonly CalibrationLayer[], tensors: SourceTensor[]) {
  const file = encodeModel({ tensors });
  const decoded = new Map(decodeModel(file).tensors.map(({ name, values }) => [name, values]));
  const parameters = layers.map(({ name }) => ({
    weights: decoded.get(`${name}.weight`) as Float32Array,
    biases: Float32Array.from(decoded.get(`${name}.bias`) as Float32Array),
  }));
  return { bytes: file.length, parameters };
}

/** The usual ways: floats, uint8 a tensor (as the TF.js converter does), integers with a float32 scale a channel. */
function* plainWidths(layers: readonly CalibrationLayer[]) {
  // Of several ways to lay out the bytes, the one that comes out smallest.
  const packed = (setting: string, layouts: Uint8Array[], parameters: LayerParameters[]) => {
    const least = (size: (bytes: Uint8Array) => number) => Math.min(...layouts.map(size));
    const sizes = {
      [setting]: least((bytes) => bytes.length),
      [`${setting} + gzip-9`]: least((bytes) => gzipSync(bytes, { level: 9 }).length),
      [`${setting} + brotli-11`]: least(brotli),
    };
    return { sizes, parameters };
  };
  const bytesOf = (array: ArrayBufferView) =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  const biases = layers.map((layer) => bytesOf(layer.biases));
  const floats = layers.map(({ weights }) => bytesOf(weights));
  yield packed("float32", [Buffer.concat([...floats, ...biases])], [...layers]);

  const halves = layers.flatMap((layer) =>
    [layer.weights, layer.biases].map((values) => floatBytes("float16", values)),
  );
  yield packed(
    "float16",
    [Buffer.concat(halves)],
    layers.map((_, i) => ({
      weights: floatValues("float16", halves[2 * i]),
      biases: floatValues("float16", halves[2 * i + 1]),
    })),
  );

  const codes: Uint8Array[] = [];
  const affine = layers.map(({ weights, biases }) => {
    const [least, most] = [Math.min(...weights), Math.max(...weights)];
    const step = Math.fround((most - least) / 255);
    const symbols = Uint8Array.from(weights, (weight) => Math.round((weight - least) / step));
    codes.push(symbols, bytesOf(Float32Array.of(least, step)));
    return { weights: Float32Array.from(symbols, (symbol) => least + step * symbol), biases };
  });
  yield packed("uint8 a tensor", [Buffer.concat([...codes, ...biases])], affine);

  for (const bits of [8, 7, 6, 5, 4]) {
    const integers = layers.map((layer) => perChannel(layer, bits));
    const levels = integers.map((each) => each.levels);
    const side = [...integers.map(({ scales }) => bytesOf(scales)), ...biases];
    const parameters = integers.map(({ weights }, i) => ({ weights, biases: layers[i].biases }));
    const bytes = Buffer.concat([...levels.map(bytesOf), ...side]);
    const bitPacked = Buffer.concat([...levels.map((l) => packBits(l, bits)), ...side]);
    yield packed(`per-channel int${bits}`, [bytes, bitPacked], parameters);
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

/** Symmetric, the largest magnitude of a row at the last level. */
function perChannel({ rows, columns, weights }: CalibrationLayer, bits: number) {
  const top = 2 ** (bits - 1) - 1;
  const levels = new Int8Array(weights.length);
  const scales = new Float32Array(rows);
  const values = new Float32Array(weights.length);
  for (let row = 0; row < rows; row++) {
    for (let i = row * columns; i < (row + 1) * columns; i++)
      scales[row] = Math.max(scales[row], Math.abs(weights[i]) / top);
    for (let i = row * columns; i < (row + 1) * columns; i++) {
      levels[i] = scales[row] === 0 ? 0 : Math.round(weights[i] / scales[row]);
      values[i] = levels[i] * scales[row];
    }
  }
  return { levels, scales, weights: values };
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

function resnet(folder: string, depth: 20 | 56): Model {
  const network = readResnet(join(folder, `models/resnet${depth}-cifar10.safetensors`));
  const batches = (file: string, count: number) => {
    const images = readCifar10(readFileSync(join(folder, "cifar10-lossless", file)));
    const batch = (from: number) =>
      normalizedBatch(
        images,
        Array.from({ length: 50 }, (_, i) => from + i),
      );
    return { images, batches: Array.from({ length: count / 50 }, (_, b) => batch(50 * b)) };
  };
  const test = batches("test_500.bin", 500);
  return {
    name: `ResNet-${depth}`,
    network,
    classes: 10,
    calibration: batches("train_1000.bin", 400).batches,
    test: test.batches,
    labels: test.images.labels,
    // These networks have memorised the training images that calibrate them: all classes alike.
    options: { seed: SEED, samplesPerColumn: 40, gradientInputs: 400, temperature: 1000 },
    ...(depth === 20
      ? {
          lambdas: [8e-5, 5e-5, 3.5e-5, 2.5e-5, 1.6e-5, 1e-5, 6e-6],
          quoted: { nncodec: [116698, 98866, 86068], prototype: [67729, 56364, 45904] },
        }
      : {
          lambdas: [1.6e-5, 1e-5, 6e-6, 3e-6, 1.6e-6],
          quoted: { nncodec: [304007, 242882, 210931], prototype: [177792, 142388, 120017] },
        }),
  };
}

/** 200 of the images calibrate, spread over all; the others judge. */
async function darknet(folder: string): Promise<Model> {
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
  return {
    name: "Tiny Darknet",
    network: readDarknet(path),
    classes: classes.length,
    calibration: joined(calibration, 8),
    test: joined(test, 8),
    labels,
    options: { seed: SEED, samplesPerColumn: 40, gradientInputs: 100, temperature: 1 },
    lambdas: [8e-7, 4e-7, 2e-7, 1e-7],
    quoted: { nncodec: [null, null, 529825], prototype: [431966, 369207, 309978] },
  };
}

/** Images together in batches of `count`, the last one smaller. */
function joined(images: readonly Float32Array[], count: number): Float32Array[] {
  const batches: Float32Array[] = [];
  for (let from = 0; from < images.length; from += count) {
    const part = images.slice(from, from + count);
    const batch = new Float32Array(part.reduce((sum, { length }) => sum + length, 0));
    part.forEach((image, i) => void batch.set(image, i * image.length));
    batches.push(batch);
  }
  return batches;
}
