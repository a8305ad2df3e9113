/**
 * How the file is chosen: the model is run where it can be, on the user's inputs or on made-up ones, so that bits go where outputs
 * depend on them and the report can say what became of the outputs.
 *
 *     const { pieces, report, outputs } = await choose(model, { target: { maxBytes: 3e6 }, calibrate: "data.js" }, progress);
 */
import { BudgetError, compressToPieces } from "../compress.js";
import {
  type Candidate,
  type CheckOptions,
  checkOutputs,
  compressChecked,
  defaultCandidates,
  heldOut,
  type OutputCheck,
  type Rival,
  weightsOnly,
} from "../compress-checked.js";
import { openBitdiet } from "../loaders/open.js";
import { joinPieces, openSource } from "../loaders/source.js";
import { type Model, tensorBytes } from "../model.js";
import { findRunner } from "../networks/find-runner.js";
import { runnableInputs } from "../networks/inputs/run.js";
import type { Runner } from "../networks/runner.js";
import { type BitsRule, withBits } from "../quantize/exceptions.js";
import { BLIND_QUALITY, type Quantize } from "../quantize/quantize.js";
import type { CompressTarget } from "../quantize/target.js";
import type { CompressReport } from "../report.js";
import type { Shard } from "../shard.js";
import { onnxCandidate } from "./calibrate-onnx.js";
import { forget, memory, type Remember } from "./calibration/cache.js";
import { calibrationData, type DataOptions } from "./calibration/data.js";
import { type CurvePoint, curve } from "./curve.js";
import { loadEvaluation } from "./evaluate.js";
import { asUsage, UsageError } from "./options.js";
import { formatBytes, formatNumber, type Progress } from "./print.js";

export interface Choice {
  /** Absent: the smallest file that --max-drop allows, or whose outputs stay. */
  target?: CompressTarget;
  /** Where inputs are (see `calibrationData`), "synthetic" for made-up ones, or "none": the model is not run then. */
  calibrate?: string;
  /** How they are read. */
  data: DataOptions;
  /** A folder that keeps what was measured. */
  cache?: string;
  /** Whether other sizes are looked at, too. */
  hasCurve?: boolean;
  evaluate?: string;
  maxDrop?: number;
  bitsFor: readonly BitsRule[];
  progressive: boolean;
  /** As in `EncodeOptions`. */
  minGain?: number;
  /** As in `CompressOptions`. */
  shard?: Shard;
}

/** What became of the outputs. */
export interface Outputs {
  /** Which inputs they were compared on. */
  inputs?: string;
  kind?: string;
  divergence?: number;
  agreement?: number;
  /** How far they could move where no size was asked for. */
  limit?: number;
  /** Why they were not compared. */
  unchecked?: string;
  /** In plain words, if they moved far. */
  warning?: string;
}

export interface Chosen {
  /** What the file holds beside tensors: as in the model, but for an ONNX graph whose batch norms have been folded. */
  metadata: Model["metadata"];
  pieces: Uint8Array[];
  report: CompressReport;
  /** What the integers were chosen from, and how far off other ways were. */
  method: string;
  rivals: Rival[];
  outputs: Outputs;
  /** Other sizes. */
  curve?: CurvePoint[];
  scores?: { before: number; after: number };
}

/** Larger models are not run: twice their weights would have to be in memory. */
const MAX_RUN_BYTES = 400e6;

/** @throws {BudgetError} if size or score are missed; {UsageError} if a module of the user's is not what it should be */
export async function choose(model: Model, choice: Choice, progress: Progress): Promise<Chosen> {
  const { maxDrop } = choice;
  const score = choice.evaluate ? await loadEvaluation(choice.evaluate) : undefined;
  const before = score && (await score(model));
  const dropOf = async (decoded: Model) => {
    const after = await score!(decoded);
    progress.note(`score ${formatNumber(after, 4)}`);
    return { value: before! - after };
  };
  const { check, candidates } = await look(model, choice, progress);
  const target = choice.target ?? (maxDrop === undefined ? undefined : { divergence: maxDrop });
  const { progressive, minGain, shard } = choice;
  const options = { progressive, minGain, shard, onProgress: progress.step };
  let chosen: Omit<Chosen, "outputs">;
  if (typeof check !== "string" && (choice.target || maxDrop === undefined)) {
    const made = await compressChecked(model, target, check, { ...options, candidates });
    chosen = { ...made, method: made.report.method, rivals: made.report.rivals };
  } else {
    const [{ name: method, quantize }] = candidates;
    const judge = choice.target ? undefined : score && dropOf;
    const made = await compressToPieces(model, target ?? { quality: BLIND_QUALITY }, {
      ...options,
      quantize,
      judge,
    });
    chosen = { ...made, method, rivals: [] };
  }
  if (choice.hasCurve) {
    if (typeof check === "string") throw new UsageError(`--curve: outputs were not checked: ${check}`);
    chosen.curve = await curve(model, check, candidates, progress);
  }
  const decoded = (await openBitdiet(await openSource(joinPieces(chosen.pieces)))).model;
  if (score) {
    const after = await score(decoded);
    chosen.scores = { before: before!, after };
    if (maxDrop !== undefined && before! - after > maxDrop)
      throw new BudgetError(
        `${formatBytes(chosen.report.bytes)}: the score fell from ${before} to ${after}, by more than ${maxDrop}`,
      );
  }
  return { ...chosen, outputs: await outputsOf(check, decoded, target === undefined) };
}

/** Runs with made-up inputs that an ONNX model is calibrated on. */
const MADE_UP_RUNS = 64;
const MADE_UP_SEED = 3;

/** What is known of the model's outputs, or why nothing is; and the ways to choose integers, the likeliest first. */
async function look(
  model: Model,
  choice: Choice,
  progress: Progress,
): Promise<{ check: OutputCheck | string; candidates: Candidate[] }> {
  const { target, calibrate, bitsFor } = choice;
  const isMadeUp = calibrate === "synthetic";
  // First the module, which may choose TF.js's backend.
  const data =
    calibrate === undefined || calibrate === "none" || isMadeUp
      ? undefined
      : await calibrationData(calibrate, choice.data);
  const runner = calibrate === "none" ? "--calibrate none" : await runnerOf(model);
  const feeds = data && typeof runner !== "string" ? await data.feeds(runner, model) : undefined;
  const remember = choice.cache === undefined ? forget : await memory(choice.cache, model, feeds);
  const check =
    typeof runner === "string"
      ? runner
      : await checkOf(model, runner, { feeds, remember, judgeByOthers: isMadeUp }, progress);
  const candidates = typeof check === "string" ? [weightsOnly(model)] : defaultCandidates(model, check);
  const isOnnx = model.format === "onnx";
  // What judges has no part in choosing.
  const calibrating = feeds && heldOut(feeds).calibrating;
  if (data && isOnnx)
    candidates.unshift(
      await onnxCandidate("calibration data", model, { feeds: calibrating, check, remember }, progress),
    );
  else if (data) {
    const { module } = data;
    const inputs = calibrating ? { feeds: calibrating, logits: module?.logits } : module;
    if (!inputs) throw new UsageError(`--calibrate: ${check}`);
    candidates.unshift(
      await (await calibration()).calibratedCandidate(inputs, model, { check, remember }, progress),
    );
  }
  if (isMadeUp) {
    if (typeof runner === "string" || typeof check === "string")
      throw new UsageError(`--calibrate synthetic: ${check}`);
    // Judged by inputs of another kind, it may lose against the other ways; how far real inputs are off, neither kind tells.
    progress.note(
      "calibrated on made-up inputs: real ones may move outputs further than is said here; --calibrate data.js tells",
    );
    if (!target)
      throw new UsageError("--calibrate synthetic: expected a size, --max-bytes or --bits, with it");
    if (isOnnx) {
      const made = await runnableInputs(runner, model, { count: MADE_UP_RUNS, seed: MADE_UP_SEED });
      candidates.unshift(
        await onnxCandidate("made-up calibration inputs", model, { feeds: made, check, remember }, progress),
      );
    } else candidates.unshift(await (await calibration()).syntheticCandidate(model, check, progress));
  }
  const ruled = (quantize: Quantize) => asUsage("--bits-for", () => withBits(model, quantize, bitsFor));
  return {
    check,
    candidates: candidates.map((candidate) => ({ ...candidate, quantize: ruled(candidate.quantize) })),
  };
}

async function runnerOf(model: Model): Promise<Runner | string> {
  const bytes = model.tensors.reduce((sum, { dtype, shape }) => sum + (tensorBytes(dtype, shape) ?? 0), 0);
  if (bytes > MAX_RUN_BYTES) return `models above ${formatBytes(MAX_RUN_BYTES)} are not run`;
  return findRunner(model).catch((error: Error) => firstLine(error));
}

async function checkOf(
  model: Model,
  runner: Runner,
  { remember, ...how }: Pick<CheckOptions, "feeds" | "judgeByOthers"> & { remember: Remember },
  progress: Progress,
): Promise<OutputCheck | string> {
  try {
    return await checkOutputs(model, runner, {
      ...how,
      clock: processorSeconds,
      async remember(measure) {
        const measured = async () =>
          new Map([...(await measure())].map(([name, loss]) => [name, Float64Array.of(loss)]));
        return new Map([...(await remember("losses", measured))].map(([name, [loss]]) => [name, loss]));
      },
      onProgress: progress.step,
    });
  } catch (error) {
    // The model wants other inputs than a signature tells.
    return firstLine(error as Error);
  }
}

/** What this process has computed: a busy machine then finds what an idle one does. */
function processorSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

const firstLine = ({ message }: Error) => message.split("\n")[0];

async function outputsOf(check: OutputCheck | string, decoded: Model, isSafe: boolean): Promise<Outputs> {
  if (typeof check === "string") return { unchecked: check };
  const { kind, inputs, limits } = check;
  const { value, agreement } = await check.judge(decoded);
  const outputs: Outputs = { inputs, kind, divergence: value, agreement };
  if (isSafe && check.areMoved) outputs.limit = limits.safe;
  if (value <= limits.warning) return outputs;
  const same =
    agreement === undefined ? "" : `, ${formatNumber(100 * agreement, 0)} % of the answers are the same`;
  const unit = kind === "kl" ? "KL divergence" : "relative squared error";
  const warning = `this model answers differently: ${unit} ${formatNumber(value, 3)}${same} (${inputs}). More bytes, or no size at all, keep its answers`;
  return { ...outputs, warning };
}

/** The part of the command that calibrates, for which TF.js has to be installed beside this package. */
async function calibration(): Promise<typeof import("./calibrate.js")> {
  try {
    return await import("./calibrate.js");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new UsageError("--calibrate: TF.js runs the model: npm install @tensorflow/tfjs");
  }
}
