/**
 * A model as pages get it today, and as .bitdiet files: what the server hands out under each name.
 *
 *     const { "uint8 + brotli": files } = await tfjsVariants(path);   // { "model.json": …, "weights.bin": … }, brotli where it pays
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import {
  encodeModel,
  floatBytes,
  floatValues,
  type Model,
  type ModelTensor,
  openBitdiet,
  openSource,
  readModel,
  type SourceTensor,
} from "bitdiet";
import { decodeMetadata } from "bitdiet/decode";
import { folderFiles } from "bitdiet/node";
import { affine } from "./affine.js";
import { weightOnlyOnnx } from "./onnx.js";

/** Files by their names, and which of them the page asks for. */
export interface Variant {
  /** What the page is told to load. */
  entry: string;
  files: Record<string, Uint8Array>;
  /** Whether files go through brotli-11 on the way: those of ours are packed already. */
  isPlain: boolean;
}

const OUT = join(import.meta.dirname, "../../out/page");
const COMMAND = join(import.meta.dirname, "../../../bitdiet/dist/cli/main.js");

/** @param sameAsUint8 bits a weight at which ours diverges as uint8 does, if that is known */
export async function variantsOf(
  path: string,
  sameAsUint8: number | undefined,
): Promise<Record<string, Variant>> {
  const model = await readModel(folderFiles(dirname(path)), basename(path));
  const plain = model.format === "onnx" ? onnxVariants(path, model) : tfjsVariants(path, model);
  const ours = (bytes: Uint8Array): Variant => ({
    entry: "model.bitdiet",
    files: { "model.bitdiet": bytes },
    isPlain: false,
  });
  const byDefault = compressed(path, []);
  return {
    ...(await plain),
    "bitdiet, default": ours(byDefault),
    "bitdiet --fast": ours(await codedFast(byDefault)),
    ...(sameAsUint8 !== undefined && {
      [`bitdiet --bits ${sameAsUint8}`]: ours(compressed(path, ["--bits", String(sameAsUint8)])),
    }),
  };
}

/** The same integers as `--fast` codes them: the command would choose them once more. */
async function codedFast(file: Uint8Array): Promise<Uint8Array> {
  const { header, quantized, model } = await openBitdiet(await openSource(file));
  const tensors = header.tensors.map(async ({ name, dtype, shape, ...entry }, i): Promise<SourceTensor> => {
    const made = entry.quantized && (await quantized(header.tensors[i]));
    return made
      ? { name, dtype, quantized: made }
      : { name, dtype, shape, bytes: await model.tensors[i].bytes() };
  });
  const metadata = header.metadata.map((entry) => decodeMetadata(file, entry));
  return encodeModel({ metadata, tensors: await Promise.all(tensors) }, { minGain: 1 });
}

/** What the command makes of a model, kept until the command is another: it runs the model some hundred times. */
function compressed(path: string, options: readonly string[]): Uint8Array {
  mkdirSync(OUT, { recursive: true });
  const built = createHash("sha256");
  for (const file of [COMMAND, ...chunksBeside(COMMAND)]) built.update(readFileSync(file));
  const name = `${basename(dirname(path))}-${basename(path)}${options.join("")}-${built.digest("hex").slice(0, 12)}`;
  const kept = join(OUT, `${name}.bitdiet`);
  if (!existsSync(kept)) {
    console.error(`making ${name}`);
    const fresh = `${kept}.new`;
    execFileSync(process.execPath, [COMMAND, "compress", path, "--force", "-o", fresh, ...options], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    renameSync(fresh, kept);
  }
  return new Uint8Array(readFileSync(kept));
}

/** Modules that a built one imports lie in its folder. */
function chunksBeside(path: string): string[] {
  const folder = dirname(path);
  return readdirSync(folder)
    .filter((file) => file.endsWith(".js"))
    .sort()
    .map((file) => join(folder, file));
}

const isWeight = ({ use, dtype }: ModelTensor) => "channelAxis" in use && dtype === "float32";

/** model.json and one shard, quantized as the TF.js converter does. */
async function tfjsVariants(path: string, model: Model): Promise<Record<string, Variant>> {
  const json = JSON.parse(readFileSync(path, "utf8"));
  const made = async (quantize: (tensor: ModelTensor, values: Float32Array) => Quantized | undefined) => {
    const shards: Uint8Array[] = [];
    const weights: object[] = [];
    for (const tensor of model.tensors) {
      const bytes = await tensor.bytes();
      const how = tensor.dtype === "float32" ? quantize(tensor, floatValues("float32", bytes)) : undefined;
      shards.push(how?.bytes ?? bytes);
      const { name, shape, dtype } = tensor;
      weights.push({ name, shape, dtype, ...(how && { quantization: how.quantization }) });
    }
    const manifest = [{ paths: ["weights.bin"], weights }];
    const text = JSON.stringify({ ...json, weightsManifest: manifest });
    const files = {
      "model.json": new TextEncoder().encode(text),
      "weights.bin": new Uint8Array(Buffer.concat(shards)),
    };
    return { entry: "model.json", files, isPlain: true };
  };
  return {
    "float16 + brotli": await made((_, values) => ({
      bytes: floatBytes("float16", values),
      quantization: { dtype: "float16" },
    })),
    "uint8 + brotli": await made((tensor, values) => (isWeight(tensor) ? uint8(values) : undefined)),
  };
}

interface Quantized {
  bytes: Uint8Array;
  quantization: object;
}

function uint8(values: Float32Array): Quantized {
  const { codes, min, scale } = affine(values);
  return { bytes: codes, quantization: { dtype: "uint8", min, scale } };
}

/** The .onnx file with its weights as float16 behind a Cast, or as uint8 behind a DequantizeLinear. */
async function onnxVariants(path: string, model: Model): Promise<Record<string, Variant>> {
  const original = new Uint8Array(readFileSync(path));
  const weights = new Set(model.tensors.filter(isWeight).map(({ name }) => name));
  const variant = (bytes: Uint8Array): Variant => ({
    entry: "model.onnx",
    files: { "model.onnx": bytes },
    isPlain: true,
  });
  return {
    "float16 + brotli": variant(weightOnlyOnnx(original, weights, "float16")),
    "uint8 + brotli": variant(weightOnlyOnnx(original, weights, "uint8")),
  };
}
