/**
 * How fast .bitdiet files decode on one thread, in how many bytes and how much memory: by default, by `--fast` and by `--smallest`,
 * beside the same by cabac alone, and the same weights as uint8 behind brotli, which is what pages serve today. All in turn.
 *
 * Decoding is down to float32 values in the tensors' own order, of uint8 too. Memory is what a process grows by, the engine's own
 * included: it says something of large models only.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { decodeWeightRows, encodeWeights } from "@bitdiet/cabac";
import { uniform as random } from "@bitdiet/zoo/data/random";
import {
  compressModel,
  dequantize,
  encodeModel,
  floatValues,
  openBitdiet,
  openSource,
  type QuantizedTensor,
  readModel,
} from "bitdiet";
import { decodeModel } from "bitdiet/decode";
import { folderFiles } from "bitdiet/node";
import { affine } from "./page/affine.js";
import { brotliBytes } from "./page/brotli.js";
import { markdownTable, type Row } from "./report.js";
import { dataFolder } from "./sources.js";
import { median } from "./timing.js";

/** What is written, and what a coder that decodes slower has to save then. */
const FILES = { default: undefined, "--fast": 1, "--smallest": 0 };
const BITS = 4;
const MODELS = {
  "MobileNet V1 0.25": "mobilenet-v1-025-imagenet-tfjs/model.json",
  "ResNet-56": "resnet56-cifar10.safetensors",
  "Tiny Darknet": "tiny-darknet-imagenet-tfjs/model.json",
};

/** A weight tensor as it was, and quantized. */
interface Weight {
  quantized: QuantizedTensor;
  values: Float32Array;
}

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const rows: Row[] = [];
  const measure = async (model: string, weights: readonly Weight[]) => {
    const measured = await rowsOf(model, weights, quick ? 2 : 7);
    rows.push(...measured);
    console.log(`${markdownTable(measured)}\n`);
  };
  const folder = dataFolder();
  for (const [name, path] of Object.entries(folder === undefined ? {} : MODELS))
    await measure(name, await trained(join(folder!, "models", path)));
  await measure("25 M Laplace weights", synthetic(quick ? 4 : 24));
  return { command: "npm run bench -- file", seed: 1, bits: BITS, rows };
}

/** Weights of a model as `bitdiet compress --bits 4 --calibrate none` quantizes them. */
async function trained(path: string): Promise<Weight[]> {
  const model = await readModel(folderFiles(dirname(path)), basename(path));
  const { bytes } = await compressModel(model, { bits: BITS });
  const { header, quantized } = await openBitdiet(await openSource(bytes));
  const weights: Weight[] = [];
  for (const [i, entry] of header.tensors.entries()) {
    const tensor = await quantized(entry);
    const { dtype, bytes } = model.tensors[i];
    if (tensor) weights.push({ quantized: tensor, values: floatValues(dtype as "float32", await bytes()) });
  }
  return weights;
}

/** Matrices of size x size Laplace numbers, whose rows differ in scale, with steps of an eighth of their rows' root mean square. */
export function synthetic(count: number, size = 1024): Weight[] {
  return Array.from({ length: count }, (_, seed) => {
    const next = random(seed + 1);
    const scales = Float32Array.from({ length: size }, () => 4 ** (next() - 0.5));
    const values = Float32Array.from({ length: size * size }, (_, i) => {
      const u = next() - 0.5;
      return Math.sign(u) * -Math.log(1 - 2 * Math.abs(u) + 1e-9) * scales[Math.floor(i / size)];
    });
    const steps = scales.map((scale) => (scale * Math.SQRT2) / 8);
    const integers = Int32Array.from(values, (value, i) => Math.round(value / steps[Math.floor(i / size)]));
    return { values, quantized: { shape: [size, size], integers, axis: 0, steps } };
  });
}

async function rowsOf(model: string, weights: readonly Weight[], rounds: number): Promise<Row[]> {
  const count = weights.reduce((sum, { values }) => sum + values.length, 0);
  const tensors = weights.map(({ quantized }, i) => ({
    name: `w${i}`,
    dtype: "float32" as const,
    quantized,
  }));
  const files = Object.entries(FILES).map(
    ([served, minGain]) => [served, encodeModel({ tensors }, { minGain })] as const,
  );
  const plain = uint8File(weights);
  const slow = cabacFile(weights);
  const times = await inTurn(
    {
      ...Object.fromEntries(files.map(([served, file]) => [served, () => decodeModel(file)])),
      "all by cabac": () => slow.decode(),
      "uint8 + brotli": () => plain.decode(),
    },
    rounds,
  );
  await checkDecoded(files[0][1], weights);
  // What a file holds beside integers: one of zeros, which take a few bytes a tensor.
  const zeros = tensors.map(({ quantized, ...tensor }) => ({
    ...tensor,
    quantized: { ...quantized, integers: new Int32Array(quantized.integers.length) },
  }));
  const byCabac = slow.bytes + encodeModel({ tensors: zeros }, { minGain: 0 }).length;
  const contenders = [...files, ["uint8 + brotli", plain.bytes] as const];
  return [...contenders, ["all by cabac", { length: byCabac }] as const].map(
    ([served, { length: bytes }]) => ({
      model,
      served,
      bytes,
      "% over cabac": rounded(100 * (bytes / byCabac - 1), 2),
      "M weights/s": rounded(count / times[served] / 1000, 1),
      "× cabac": rounded(times["all by cabac"] / times[served], 2),
      "time : uint8 + brotli": rounded(times[served] / times["uint8 + brotli"], 2),
      "memory / decoded":
        served === "default" && existsSync("/proc/self/status")
          ? rounded(peakBytes(files[0][1]) / (4 * count), 2)
          : undefined,
    }),
  );
}

const rounded = (value: number, digits: number) => Number(value.toFixed(digits));

/** Height and width of the kernels that rows of a tensor consist of: HWIO and the like, else OIHW and the like. */
function kernelOf({ shape, axis }: QuantizedTensor): [number, number] {
  const isLast = shape.length >= 3 && axis >= shape.length - 2;
  const axes = isLast ? shape.slice(0, -2) : shape.slice(2);
  return [axes.at(-2) ?? 1, axes.at(-1) ?? 1];
}

/** Integers of every tensor by cabac, which the file's own choice never is. */
function cabacFile(weights: readonly Weight[]): { bytes: number; decode(): Float32Array[] } {
  const coded = weights.map(({ quantized }) => {
    const { integers, shape, axis } = quantized;
    const [height, width] = kernelOf(quantized);
    const rows = { rowLength: integers.length / shape[axis], height, width };
    const bytes = encodeWeights(integers, { rowLength: rows.rowLength, kernel: [height, width] });
    return { quantized, rows, bytes };
  });
  return {
    bytes: coded.reduce((sum, { bytes }) => sum + bytes.length, 0),
    decode: () =>
      coded.map(({ quantized, rows, bytes }) => {
        const integers = decodeWeightRows(bytes, quantized.integers.length, rows);
        return dequantize({ ...quantized, integers });
      }),
  };
}

/** Each tensor by one step and 256 levels, as the TF.js converter does, all behind brotli. */
function uint8File(weights: readonly Weight[]): { bytes: Uint8Array; decode(): Float32Array[] } {
  const tensors = weights.map(({ values }) => affine(values));
  const bytes = brotliBytes(Buffer.concat(tensors.map(({ codes }) => codes)));
  const decode = () => {
    const codes = brotliDecompressSync(bytes);
    let at = 0;
    return tensors.map(({ min, scale, codes: { length } }) => {
      const values = new Float32Array(length);
      for (let i = 0; i < length; i++) values[i] = min + scale * codes[at++];
      return values;
    });
  };
  return { bytes, decode };
}

async function checkDecoded(file: Uint8Array, weights: readonly Weight[]): Promise<void> {
  for (const [i, { values }] of (await decodeModel(file)).tensors.entries()) {
    const expected = dequantize(weights[i].quantized);
    if (Buffer.compare(Buffer.from(values.buffer), Buffer.from(expected.buffer)) !== 0)
      throw new Error(`w${i} decodes to other values`);
  }
}

/**
 * Medians over the rounds, the contenders one after another in each, of the processor's milliseconds, which other programs on the
 * machine disturb less than the wall's. The first round does not count.
 */
async function inTurn(
  contenders: Record<string, () => unknown>,
  rounds: number,
): Promise<Record<string, number>> {
  const times = new Map(Object.keys(contenders).map((name) => [name, [] as number[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, contender] of Object.entries(contenders)) {
      const start = process.cpuUsage();
      await contender();
      const { user, system } = process.cpuUsage(start);
      if (round > 0) times.get(name)!.push((user + system) / 1000);
    }
  }
  return Object.fromEntries([...times].map(([name, each]) => [name, median(each)]));
}

/** By how much a process grows that reads and decodes a file. */
function peakBytes(file: Uint8Array): number {
  const folder = mkdtempSync(join(tmpdir(), "bitdiet-bench-"));
  try {
    const path = join(folder, "model.bitdiet");
    writeFileSync(path, file);
    const program = `
      import { readFileSync } from "node:fs";
      import { decodeModel } from ${JSON.stringify(import.meta.resolve("bitdiet/decode"))};
      const before = process.memoryUsage.rss();
      const decoded = await decodeModel(readFileSync(process.argv[1]));
      // Linux; resourceUsage().maxRSS would begin with what the parent takes.
      const [, most] = /VmHWM:\\s*(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
      console.log(1024 * most - before);
      if (decoded.tensors.length === 0) throw new Error("nothing decoded");`;
    return Number(
      execFileSync(process.execPath, ["--input-type=module", "-e", program, path], { encoding: "utf8" }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
