/**
 * What calibrated models weigh: bytes of whole .bitdiet files against how far the outputs of what they decode to are off, beside the
 * command's `--bits`, the weights alone, and what people do today.
 *
 * BITDIET_MODELS names some, by commas. Points are kept in `out/onnx-models`: a run that was stopped goes on where it was.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { useBackend } from "@bitdiet/zoo/training/backend";
import {
  type CompressTarget,
  compressToPieces,
  type Model,
  openBitdiet,
  openSource,
  type Quantize,
  readModel,
} from "bitdiet";
import { calibrate } from "bitdiet/calibrate";
import { calibrateOnnx } from "bitdiet/calibrate-onnx";
import { findOnnxRuntime, folderFiles } from "bitdiet/node";
import { checkOutputs, compressChecked, divergence, type Runner } from "bitdiet/run";
import { type Calibrated, calibrated } from "./onnx-subjects.js";
import { plainFiles } from "./real-models/baselines.js";
import { named, outputsOf, plainTensors, runnerOf, withStates } from "./real-models/outputs.js";
import { type Feeds, type Outputs, type Subject, subjects } from "./real-models/subjects.js";
import { markdownTable } from "./report.js";

const BITS = [8, 6, 5];
/** What people do today, of all plain files. */
const PLAIN = /uint8|int8|int4/;
const OUT = join(import.meta.dirname, "../out/onnx-models");

interface Point {
  model: string;
  method: "calibrated" | "command" | "weights alone" | "plain";
  setting: string;
  /** Of the whole file; of plain ones after brotli-11. */
  bytes: number;
  /** Divergence, and what else the model is judged by. */
  measures: Record<string, number>;
  /** Answers that stay, as a user counts them. */
  same?: string;
  /** Inputs that it was judged on. */
  inputs: number;
  /** User time of quantizing and encoding. */
  cpuSeconds?: number;
  commit: string;
}

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  mkdirSync(OUT, { recursive: true });
  const wanted = process.env.BITDIET_MODELS?.split(",");
  const all: Point[] = [];
  for (const each of calibrated.filter(({ name }) => !wanted || wanted.includes(name))) {
    const subject = subjects.find(({ name }) => name === each.name)!;
    const path = await subject.path();
    if (path === undefined) console.log(`${each.name}: not there, left out`);
    else all.push(...(await measure(each, subject, path, quick)));
    console.log(`\n${markdownTable(tableOf(all.filter(({ model }) => model === each.name)))}`);
  }
  return {
    command: `npm run bench -- onnx-models${quick ? " --quick" : ""}`,
    node: process.version,
    points: all,
    peakMegabytes: process.resourceUsage().maxRSS / 1000,
  };
}

/** What a point is before it is judged. */
type Made = Pick<Point, "method" | "setting" | "bytes" | "cpuSeconds">;

/** A subject's points, those that are known and those that were missing. */
async function measure(
  { qualities, sizes = [], bits: widths = BITS, calibration, divergence: ownDivergence }: Calibrated,
  subject: Subject,
  path: string,
  quick: boolean,
): Promise<Point[]> {
  const kept = join(OUT, `${subject.name}${quick ? ".quick" : ""}.json`);
  const points: Point[] = existsSync(kept) ? JSON.parse(readFileSync(kept, "utf8")) : [];
  const isMissing = (method: Point["method"], setting: string) =>
    !points.some((point) => point.method === method && point.setting === setting);
  const some = <T>(list: readonly T[]) => (quick ? list.slice(0, 8) : list);
  const model = await readModel(folderFiles(dirname(path)), basename(path));
  // Gradients are not in the wasm backend as it comes.
  if (model.format !== "onnx") await useBackend("wasm");
  const runner = await runnerOf(model);
  const inputs = some((await subject.inputs()).map((feeds) => named(runner, feeds)));
  const original = await outputsOf(runner, inputs, subject);
  const judge = (made: Made, outputs: Outputs[]) => {
    const measures = ownDivergence?.(outputs, original) ?? {
      divergence: divergence(outputs as never, original as never).value,
    };
    const same = sameAnswers(subject, outputs, original);
    points.push({ model: subject.name, ...made, measures, same, inputs: inputs.length, commit: commit() });
    writeFileSync(kept, `${JSON.stringify(points, null, 2)}\n`);
    console.log(JSON.stringify(points.at(-1)));
  };
  const targets: Setting[] = [
    ...(quick ? qualities.slice(1, 2) : qualities).map(
      (quality) => [`quality ${quality}`, { quality }] as const,
    ),
    ...(quick ? [] : sizes).map((maxBytes) => [`${maxBytes} bytes`, { maxBytes }] as const),
  ];
  const given = async () => some((await calibration()).map((each) => named(runner, each)));
  const quantize = async () => quantizeOf(model, await withStates(runner, await given(), subject));
  for await (const file of filesOf(model, runner, { targets, widths, isMissing, quantize })) {
    const changed = await runnerOf((await openBitdiet(await openSource(file.bytes))).model);
    judge({ ...file, bytes: file.bytes.length }, await outputsOf(changed, inputs, subject));
    await changed.dispose();
  }
  const structure = Buffer.concat(Object.values(model.metadata));
  for (const { name, bytes, values } of plainFiles(await plainTensors(model), structure))
    if (PLAIN.test(name) && isMissing("plain", name))
      judge({ method: "plain", setting: name, bytes }, await outputsOf(runner, inputs, subject, values));
  await runner.dispose();
  return points;
}

type Setting = readonly [name: string, target: CompressTarget];

/** Files by calibration, by the weights alone, and as the command chooses: those that are missing. */
async function* filesOf(
  model: Model,
  runner: Runner,
  {
    targets,
    widths,
    isMissing,
    quantize,
  }: {
    targets: readonly Setting[];
    widths: readonly number[];
    isMissing(method: Point["method"], setting: string): boolean;
    quantize(): Promise<Quantize>;
  },
): AsyncGenerator<Omit<Made, "bytes"> & { bytes: Uint8Array }> {
  const timed = async (
    method: Point["method"],
    setting: string,
    make: () => Promise<{ pieces: Uint8Array[] }>,
  ) => {
    const start = process.cpuUsage().user;
    const bytes = Buffer.concat((await make()).pieces);
    return { method, setting, bytes, cpuSeconds: (process.cpuUsage().user - start) / 1e6 };
  };
  const missing = targets.filter(([setting]) => isMissing("calibrated", setting));
  const calibrated = missing.length > 0 ? await quantize() : undefined;
  for (const [setting, target] of missing)
    yield timed("calibrated", setting, () => compressToPieces(model, target, { quantize: calibrated }));
  for (const bits of widths)
    if (isMissing("weights alone", `${bits} bits`))
      yield timed("weights alone", `${bits} bits`, () => compressToPieces(model, { bits }));
  const commands = widths.filter((bits) => isMissing("command", `--bits ${bits}`));
  const check = commands.length > 0 ? await checkOutputs(model, runner) : undefined;
  for (const bits of commands)
    yield timed("command", `--bits ${bits}`, () => compressChecked(model, { bits }, check!));
}

async function quantizeOf(model: Model, feeds: readonly Feeds[]): Promise<Quantize> {
  if (model.format !== "onnx") return calibrate(model, { feeds: feeds as never });
  const ort = await findOnnxRuntime();
  if (!ort) throw new Error("onnxruntime-node is not installed");
  return calibrateOnnx(model, ort, feeds as never);
}

function sameAnswers(subject: Subject, outputs: readonly Outputs[], original: readonly Outputs[]) {
  if (!subject.sameAnswers) return undefined;
  const counts = outputs.map((each, i) => subject.sameAnswers!(each, original[i]));
  const sum = (of: (count: { same: number; of: number }) => number) =>
    counts.reduce((total, count) => total + of(count), 0);
  return `${sum(({ same }) => same)} of ${sum(({ of }) => of)}`;
}

function commit(): string {
  return execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim().slice(0, 12);
}

function tableOf(points: readonly Point[]) {
  return points.map(({ model, method, setting, bytes, measures, same = "", cpuSeconds }) => ({
    model,
    file: `${method}, ${setting}`,
    bytes,
    ...Object.fromEntries(Object.entries(measures).map(([name, value]) => [name, value.toPrecision(2)])),
    same,
    seconds: cpuSeconds === undefined ? "" : cpuSeconds.toFixed(0),
  }));
}
