/**
 * A model compressed so that its outputs stay: run before and after, on the user's inputs or on made-up ones.
 *
 *     const check = await checkOutputs(model, runner);
 *     const { pieces, report } = await compressChecked(model, undefined, check);
 *     report.divergence; // { kind: "kl", value: 0.0046, agreement: 0.97 }, on inputs that chose nothing but the size
 */
import { BudgetError, type Compressed, type CompressOptions, compressToPieces } from "./compress.js";
import { floatValues } from "./formats/floats.js";
import { channelAxis, type FloatDtype, type Model } from "./model.js";
import type { Feeds } from "./networks/inputs/made-up.js";
import { byTurns, drawn, type Makers } from "./networks/inputs/makers.js";
import { runnableInputs } from "./networks/inputs/run.js";
import { RunError, type Runner } from "./networks/runner.js";
import { allocated } from "./quantize/allocated.js";
import { fromWeights } from "./quantize/from-weights.js";
import { outputJudge } from "./quantize/judge.js";
import { measureLosses } from "./quantize/losses.js";
import { BLIND_QUALITY, lambdaOfQuality, type Quantize } from "./quantize/quantize.js";
import type { CompressTarget } from "./quantize/target.js";
import type { CompressReport, Judgement } from "./report.js";

/** How far an answer may be off where no size is asked for: KL in nats, or squared error over the variance. */
const SAFE_DIVERGENCE = { kl: 0.001, relative: 0.005 };
/** Beyond this a file is not written in silence. */
const WARNING_DIVERGENCE = { kl: 0.05, relative: 0.05 };
/** Answers that are no farther apart than what may be lost are one answer: nobody knows what moves them. */
const UNMOVED = { kl: SAFE_DIVERGENCE.kl, relative: 1e-6 };

const PROBE_SEED = 1;
const HELD_OUT_SEED = 2;
const HELD_OUT = 32;
/** Inputs of one probe. */
const MAX_PROBES = 16;
/** Seconds of computing that probes may take, and as many that all trials of a search may run. Slow models are run on fewer inputs. */
const SECONDS = 10;
/** Models that a search judges, about, itself and its rivals. */
const TRIALS = 14;
/** Fewer inputs judge nothing, or say nothing of a tensor. */
const MIN_INPUTS = 2;
/** Seconds of a run from which pictures of any size are made smaller: four of them cannot be judged any more. */
const SLOW = SECONDS / TRIALS / 4;
/** Seconds of one run beyond which made-up inputs are not worth it. */
const TOO_SLOW = 5;

/** What is known of a model's outputs. */
export interface OutputCheck {
  /** Which inputs the model ran on, in words. */
  inputs: string;
  isMadeUp: boolean;
  kind: "kl" | "relative";
  /** How far outputs may be off where no size is asked for, and before a word is said; of a row, as `Divergence` has it. */
  limits: { safe: number; warning: number };
  /** Whether the outputs differ from input to input. If they do not, neither divergence nor losses tell anything. */
  areMoved: boolean;
  judge(decoded: Model): Promise<Judgement>;
  /** By tensor: see `measureLosses`. */
  losses: ReadonlyMap<string, number>;
}

export interface CheckOptions extends Pick<CompressOptions, "onProgress"> {
  /** Inputs of the user's; the last ones judge, the others are for probes. Default: made-up ones. */
  feeds?: readonly Feeds[];
  /**
   * Where no feeds are given: judges by inputs of another kind than those that probes and calibration see, which flatter what was made
   * with them.
   */
  judgeByOthers?: boolean;
  /** Gives the losses that were measured before on the same model and feeds. */
  remember?(measure: () => Promise<ReadonlyMap<string, number>>): Promise<ReadonlyMap<string, number>>;
  /** Seconds of computing so far. Default: of the wall clock, which other programs move, too. */
  clock?(): number;
}

/**
 * Runs the model as it came, and with each tensor rounded.
 *
 * @throws {RunError} or {RangeError} if it cannot be run
 */
export async function checkOutputs(
  model: Model,
  runner: Runner,
  {
    feeds,
    judgeByOthers = false,
    remember = (measure) => measure(),
    clock = () => performance.now() / 1000,
    onProgress = () => {},
  }: CheckOptions = {},
): Promise<OutputCheck> {
  onProgress("running", 0, 1);
  const { calibrating, judging: allJudging } = feeds
    ? heldOut(feeds)
    : await madeUp(model, runner, { judgeByOthers, clock });
  const allProbing = calibrating.slice(0, MAX_PROBES);
  const { run, change } = await secondsOf(model, runner, allJudging[0], clock);
  if (!feeds && run > TOO_SLOW)
    throw new RunError(
      `a run of the model takes ${run.toFixed(0)} s: too slow to try out what it depends on`,
    );
  const weights = model.tensors.filter((tensor) => channelAxis(tensor) !== undefined).length;
  const judged = affordable(SECONDS / TRIALS - change, run, allJudging.length);
  const judging = allJudging.slice(0, Math.max(MIN_INPUTS, judged));
  const probes = affordable(SECONDS / weights - change, run, allProbing.length);
  const probing = allProbing.slice(0, Math.max(MIN_INPUTS, probes));
  const { judge, spread } = await outputJudge(model, runner, judging);
  const { kind, steps } = await judge(model);
  const areMoved = feeds !== undefined || spread > UNMOVED[kind];
  const measure = () =>
    measureLosses(model, runner, probing, {
      most: affordable(SECONDS, change + run * probing.length, weights),
      onProgress: (done, total) => onProgress("probing", done, total),
    });
  const losses = areMoved ? await remember(measure) : new Map<string, number>();
  const words = `${judging.length} made-up inputs${judgeByOthers ? " of another kind" : ""}, seed ${HELD_OUT_SEED}`;
  return {
    inputs: feeds
      ? `${judging.length} inputs of yours, held out`
      : `${words}${areMoved ? "" : ", which hardly move them and tell nothing"}`,
    isMadeUp: feeds === undefined,
    kind,
    limits: { safe: SAFE_DIVERGENCE[kind] / steps, warning: WARNING_DIVERGENCE[kind] / steps },
    areMoved,
    judge,
    losses,
  };
}

/** Made-up inputs in the parts of `heldOut`. */
async function madeUp(
  model: Model,
  runner: Runner,
  { judgeByOthers, clock }: { judgeByOthers: boolean; clock(): number },
): Promise<HeldOut> {
  const made = (count: number, seed: number, makers: Makers) =>
    runnableInputs(runner, model, { count, seed, makers, slow: SLOW, clock });
  return {
    calibrating: await made(MAX_PROBES, PROBE_SEED, byTurns()),
    judging: await made(HELD_OUT, HELD_OUT_SEED, judgeByOthers ? drawn : byTurns()),
  };
}

interface HeldOut {
  calibrating: readonly Feeds[];
  judging: readonly Feeds[];
}

/**
 * Inputs in two parts: those that choose integers, and the last ones, which judge what became of it. Of a single one both are the same.
 */
export function heldOut(feeds: readonly Feeds[]): HeldOut {
  const judges = Math.max(1, Math.min(HELD_OUT, feeds.length >> 1));
  const at = Math.max(1, feeds.length - judges);
  return { calibrating: feeds.slice(0, at), judging: feeds.slice(-judges) };
}

/** What a run takes, and what it takes more where a weight has changed. */
async function secondsOf(model: Model, runner: Runner, feeds: Feeds, clock: () => number) {
  const timed = async (replaced?: ReadonlyMap<string, Float32Array>) => {
    const start = clock();
    await runner.run(feeds, replaced);
    return clock() - start;
  };
  const run = await timed();
  const weight = model.tensors.find((tensor) => channelAxis(tensor) !== undefined);
  if (!weight) return { run, change: 0 };
  const values = floatValues(weight.dtype as FloatDtype, await weight.bytes());
  return { run, change: Math.max(0, (await timed(new Map([[weight.name, values]]))) - run) };
}

/** The largest power of two, so that the same machine mostly finds the same; 1 at least. */
function affordable(seconds: number, each: number, most: number): number {
  const count = seconds / Math.max(1e-6, each);
  return count >= most ? Math.max(1, most) : 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, count))));
}

/** A way to choose integers, by a name for people. */
export interface Candidate {
  name: string;
  quantize: Quantize;
}

export interface Rival {
  method: string;
  divergence: number;
  bytes: number;
}

export interface CheckedReport extends CompressReport {
  /** Name of the candidate whose integers these are. */
  method: string;
  /** The other candidates, and what they were off in a file of about so many bytes. */
  rivals: Rival[];
}

/**
 * The best of several candidates on held-out inputs, never worse than the weights alone would be.
 *
 * @param target default: the smallest file within the safe limit
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
): Promise<Compressed & { report: CheckedReport }> {
  const { judge } = check;
  const safe = check.areMoved ? { divergence: check.limits.safe } : { quality: BLIND_QUALITY };
  const goal = target ?? safe;
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
      rivals.push({ method: candidate.name, divergence: theirs, bytes: rival.report.bytes });
      continue;
    }
    rivals.push({ method: best.method, divergence: mine, bytes: best.report.bytes });
    const again = "divergence" in goal ? await compressed(goal, candidate, rival.report.lambda) : rival;
    best = { method: candidate.name, ...again };
  }
  // Inputs that were made up may ask for more than it takes blind, not for less: a detector of voices that hears none is easily content.
  if (!target && check.isMadeUp && (best.report.lambda ?? 0) > lambdaOfQuality(BLIND_QUALITY)) {
    const candidate = candidates.find(({ name }) => name === best.method) ?? first;
    best = { method: best.method, ...(await compressed({ quality: BLIND_QUALITY }, candidate)) };
  }
  const { method, ...made } = best;
  return { ...made, report: { ...made.report, method, rivals } };
}

export function defaultCandidates(model: Model, { losses, areMoved }: OutputCheck): Candidate[] {
  if (!areMoved) return [weightsOnly(model)];
  return [
    { name: "bits where outputs depend on them", quantize: allocated(model, losses) },
    weightsOnly(model),
  ];
}

export function weightsOnly(model: Model): Candidate {
  return { name: "the weights alone", quantize: fromWeights(model) };
}
