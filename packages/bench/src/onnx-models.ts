/**
 * What ONNX models weigh: bytes of whole .bitdiet files against how far the outputs of what they decode to are off, calibrated and by
 * weights alone. Points that a result already has are kept, so that a stopped run goes on.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type CompressTarget, compressModel, memoryFiles, type Quantize, readModel } from "bitdiet";
import { calibrateOnnx, type OnnxRuntime } from "bitdiet/calibrate-onnx";
import { onnxFileFromBitdiet } from "bitdiet/onnx";
import { fetchedFolder, type OnnxSubject, runtimeIn, subject } from "./onnx-subjects.js";
import { dataFolder } from "./sources.js";

const MODELS = ["yolox", "det", "rec"];
const QUALITIES = [60, 52, 43];
const BITS = [8, 7, 6, 5];
const RESULT = fileURLToPath(new URL("../out/onnx-models.json", import.meta.url));

interface Point {
  model: string;
  method: "calibrated" | "weights only";
  setting: string;
  bytes: number;
  /** Divergence, and figures of the model's own. */
  measures: Record<string, number>;
  /** Time of quantizing and encoding, on one thread. */
  cpuSeconds: number;
  commit: string;
}

/** BITDIET_MODELS names some, by commas; all by default. */
export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const data = dataFolder();
  if (data === undefined) {
    console.log("No models: set BITDIET_DATA to the folder that holds models/.");
    return {};
  }
  const folder = fetchedFolder();
  const ort = runtimeIn(folder);
  const points: Point[] = existsSync(RESULT) ? JSON.parse(readFileSync(RESULT, "utf8")) : [];
  for (const name of process.env.BITDIET_MODELS?.split(",") ?? MODELS) {
    const found = await subject(name, folder, data);
    if (quick) found.test.length = found.calibration.length = 16;
    const keep = (point: Point) => {
      points.push(point);
      mkdirSync(dirname(RESULT), { recursive: true });
      writeFileSync(RESULT, `${JSON.stringify(points, null, 2)}\n`);
      console.log(JSON.stringify(point));
    };
    await measure(found, ort, quick ? QUALITIES.slice(1, 2) : QUALITIES, points, keep);
  }
  return {
    command: `npm run bench -- onnx-models${quick ? " --quick" : ""}`,
    seed: 1,
    points,
    peakMegabytes: process.resourceUsage().maxRSS / 1000,
  };
}

async function measure(
  { name, bytes, shape, calibration, test, measure }: OnnxSubject,
  ort: OnnxRuntime,
  qualities: readonly number[],
  points: readonly Point[],
  keep: (point: Point) => void,
): Promise<void> {
  const model = await readModel(memoryFiles({ "model.onnx": bytes }), "model.onnx");
  const exact = await outputsOf(ort, bytes, shape, test);
  const attempt = async (
    method: Point["method"],
    setting: string,
    target: CompressTarget,
    how?: Quantize,
  ) => {
    const start = process.cpuUsage().user;
    const { bytes: file } = await compressModel(model, target, how && { quantize: how });
    const cpuSeconds = (process.cpuUsage().user - start) / 1e6;
    const decoded = new Uint8Array(Buffer.concat(await onnxFileFromBitdiet(file)));
    const measures = measure(await outputsOf(ort, decoded, shape, test), exact);
    const commit = execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim();
    keep({ model: name, method, setting, bytes: file.length, measures, cpuSeconds, commit });
  };
  const isMissing = (method: string, setting: string) =>
    !points.some((point) => point.model === name && point.method === method && point.setting === setting);
  for (const bits of BITS)
    if (isMissing("weights only", `${bits} bits`)) await attempt("weights only", `${bits} bits`, { bits });
  const missing = qualities.filter((quality) => isMissing("calibrated", `quality ${quality}`));
  if (missing.length === 0) return;
  const input = await inputName(ort, bytes);
  const feeds = calibration.map(
    (tensor) => new Map([[input, { dtype: "float32" as const, shape, data: tensor }]]),
  );
  const quantize = await calibrateOnnx(model, ort, feeds);
  for (const quality of missing) await attempt("calibrated", `quality ${quality}`, { quality }, quantize);
}

const OPTIONS = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 };

async function inputName(ort: OnnxRuntime, bytes: Uint8Array): Promise<string> {
  const session = await ort.InferenceSession.create(bytes, OPTIONS);
  const [{ name }] = session.inputMetadata;
  await session.release();
  return name;
}

async function outputsOf(
  ort: OnnxRuntime,
  bytes: Uint8Array,
  shape: number[],
  inputs: readonly Float32Array[],
): Promise<Float32Array[]> {
  const session = await ort.InferenceSession.create(bytes, OPTIONS);
  const [input, output] = [session.inputMetadata[0].name, session.outputMetadata[0].name];
  const outputs: Float32Array[] = [];
  for (const data of inputs) {
    const given = new ort.Tensor("float32" as never, data as never, shape);
    const found = await session.run({ [input]: given } as never, [output]);
    outputs.push((found[output] as { data: Float32Array }).data);
  }
  await session.release();
  return outputs;
}
