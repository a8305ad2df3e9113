/**
 * A model compressed so that its outputs stay: run before and after, on the user's inputs or on made-up ones.
 *
 *     const check = await checkOutputs(model, runner);
 *     const { pieces, report } = await compressChecked(model, undefined, check);
 *     report.divergence; // { kind: "kl", value: 0.0046, agreement: 0.97 }, on inputs that chose nothing but the size
 */
import { BudgetError, type CompressOptions, compressToPieces } from "./compress.js";
import type { Model } from "./model.js";
import type { Feeds } from "./networks/inputs/made-up.js";
import { runnableInputs } from "./networks/inputs/run.js";
import type { Runner } from "./networks/runner.js";
import { allocated } from "./quantize/allocated.js";
import { fromWeights } from "./quantize/from-weights.js";
import { outputJudge } from "./quantize/judge.js";
import { measureLosses } from "./quantize/losses.js";
import type { Quantize } from "./quantize/quantize.js";
import type { CompressTarget } from "./quantize/target.js";
import type { CompressReport, Judgement } from "./report.js";

/** How far outputs may be off where no size is asked for: KL in nats per row, or squared error over the variance. */
export const SAFE_DIVERGENCE = { kl: 0.001, relative: 0.005 };
/** Beyond this a file is not written in silence. */
export const WARNING_DIVERGENCE = { kl: 0.05, relative: 0.05 };

const PROBE_SEED = 1;
const HELD_OUT_SEED = 2;
const HELD_OUT = 32;
/** Runs that all probes together may take, and inputs of one probe. */
const MAX_PROBE_RUNS = 600;
const [MIN_PROBES, MAX_PROBES] = [4, 16];

/** What is known of a model's outputs. */
export interface OutputCheck {
  /** Which inputs the model ran on, in words. */
  inputs: string;
  kind: "kl" | "relative";
  judge(decoded: Model): Promise<Judgement>;
  /** By tensor: see `measureLosses`. */
  losses: ReadonlyMap<string, number>;
}

/**
 * Runs the model as it came, and with each tensor rounded.
 *
 * @param feeds of the user's; the last ones judge, the others are for probes. Default: made-up ones
 * @throws {RunError} or {RangeError} if it cannot be run
 */
export async function checkOutputs(
  model: Model,
  runner: Runner,
  {
    feeds,
    remember = (measure) => measure(),
    onProgress = () => {},
  }: {
    feeds?: readonly Feeds[];
    /** Gives the losses that were measured before on the same model and feeds. */
    remember?(measure: () => Promise<ReadonlyMap<string, number>>): Promise<ReadonlyMap<string, number>>;
  } & Pick<CompressOptions, "onProgress"> = {},
): Promise<OutputCheck> {
  const weights = model.tensors.filter(({ use }) => "channelAxis" in use).length;
  const probes = Math.max(
    MIN_PROBES,
    Math.min(MAX_PROBES, Math.floor(MAX_PROBE_RUNS / Math.max(1, weights))),
  );
  const given = feeds && heldOut(feeds);
  const probing =
    given?.calibrating.slice(0, probes) ??
    (await runnableInputs(runner, model, { count: probes, seed: PROBE_SEED }));
  const judging =
    given?.judging ?? (await runnableInputs(runner, model, { count: HELD_OUT, seed: HELD_OUT_SEED }));
  onProgress("running", 0, 1);
  const judge = await outputJudge(model, runner, judging);
  const { kind } = await judge(model);
  const losses = await remember(() =>
    measureLosses(model, runner, probing, (done, total) => onProgress("probing", done, total)),
  );
  const inputs = feeds
    ? `${judging.length} inputs of yours, held out`
    : `${judging.length} made-up inputs, seed ${HELD_OUT_SEED}`;
  return { inputs, kind, judge, losses };
}

/**
 * Inputs in two parts: those that choose integers, and the last ones, which judge what became of it. Of a single one both are the same.
 */
export function heldOut(feeds: readonly Feeds[]): {
  calibrating: readonly Feeds[];
  judging: readonly Feeds[];
} {
  const judges = Math.max(1, Math.min(HELD_OUT, feeds.length >> 1));
  const at = Math.max(1, feeds.length - judges);
  return { calibrating: feeds.slice(0, at), judging: feeds.slice(-judges) };
}

/** A way to choose integers, by a name for people. */
export interface Candidate {
  name: string;
  quantize: Quantize;
}

export interface CheckedReport extends CompressReport {
  /** Name of the candidate whose integers these are. */
  method: string;
  /** Divergence of the other candidates at this file's size. */
  rivals: { method: string; divergence: number }[];
}

/**
 * The best of several candidates on held-out inputs, never worse than the weights alone would be.
 *
 * @param target default: the smallest file within SAFE_DIVERGENCE
 * @param candidates the likeliest first. Default: bits where outputs depend on them, and the weights alone
 * @throws {BudgetError} if the model cannot be made as small
 */
export async function compressChecked(
  model: Model,
  target: CompressTarget | undefined,
  check: OutputCheck,
  {
    candidates = defaultCandidates(model, check),
    ...options
  }: { candidates?: readonly Candidate[] } & Pick<
    CompressOptions,
    "onProgress" | "progressive" | "minGain"
  > = {},
): Promise<{ pieces: Uint8Array[]; report: CheckedReport }> {
  const { judge } = check;
  const goal = target ?? { divergence: SAFE_DIVERGENCE[check.kind] };
  const compressed = (how: CompressTarget, { quantize }: Candidate, start?: number) =>
    compressToPieces(model, how, { ...options, quantize, judge, start });
  const [first, ...others] = candidates;
  let best = { method: first.name, ...(await compressed(goal, first)) };
  const rivals: CheckedReport["rivals"] = [];
  for (const candidate of others) {
    const { bytes: maxBytes, lambda: start } = best.report;
    const rival = await compressed({ maxBytes }, candidate, start).catch((error) => {
      if (error instanceof BudgetError) return undefined;
      throw error;
    });
    if (!rival) continue;
    const [mine, theirs] = [best.report.divergence!.value, rival.report.divergence!.value];
    if (!(theirs < mine)) {
      rivals.push({ method: candidate.name, divergence: theirs });
      continue;
    }
    rivals.push({ method: best.method, divergence: mine });
    const again = "divergence" in goal ? await compressed(goal, candidate, rival.report.lambda) : rival;
    best = { method: candidate.name, ...again };
  }
  const { pieces, report, method } = best;
  return { pieces, report: { ...report, method, rivals } };
}

export function defaultCandidates(model: Model, { losses }: OutputCheck): Candidate[] {
  return [
    { name: "bits where outputs depend on them", quantize: allocated(model, losses) },
    weightsOnly(model),
  ];
}

export function weightsOnly(model: Model): Candidate {
  return { name: "the weights alone", quantize: fromWeights(model) };
}
