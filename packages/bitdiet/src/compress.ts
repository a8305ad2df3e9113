/**
 * A model to a .bitdiet file of a wanted size: integers by a `Quantize`, which is by the weights alone unless another is given, and one
 * search for how fine.
 *
 *     const { bytes, report } = await compressModel(model, { maxBytes: 300_000 });
 *     const { bytes } = await compressModel(model, { bits: 3 }, { quantize: await calibrate(model, data) });
 *
 * Tensors are read one at a time: in memory are one tensor, and the coded bytes of the best trial and of the one in hand.
 */
import { type EncodedModel, encodedModel, roundedModel } from "./encoded-model.js";
import type { EncodeOptions } from "./file/encode.js";
import { openBitdiet } from "./loaders/open.js";
import { joinPieces, openSource, plainBytes } from "./loaders/source.js";
import { channelAxis, elementCount, type Model, type ModelTensor, tensorBytes } from "./model.js";
import { fromWeights } from "./quantize/from-weights.js";
import { lambdaOfQuality, type Quantize, qualityOfLambda } from "./quantize/quantize.js";
import { MAX_TRIALS, search } from "./quantize/search.js";
import { type CompressTarget, checkTarget, divergenceGoal, goalOf } from "./quantize/target.js";
import type { CompressReport, Judgement } from "./report.js";
import type { Shard } from "./shard.js";

/** The wanted size cannot be had. */
export class BudgetError extends Error {
  override name = "BudgetError";
}

export interface CompressOptions extends Pick<EncodeOptions, "minGain" | "progressive"> {
  /** How integers are chosen. Default: by the weights alone. */
  quantize?: Quantize;
  /** How far off a model is, as a decoder gives it. Needed for the target `divergence`. */
  judge?(decoded: Model): Promise<Judgement>;
  /** Only this part of the model's tensors, for `joinShards`; of a model with a target `quality` alone. */
  shard?: Shard;
  /** The lambda where the search begins, such as a report has for the same model and another size. */
  start?: number;
  onProgress?(step: string, done: number, total: number): void;
}

const NOTHING = "nothing to quantize: the model has no float weights that differ and are finite";
const KEPT =
  "nothing to quantize: the model's weights are integers already, and are kept; --requantize makes weights of them";
/** A model of more weights is looked at in part first, for a lambda to begin with. */
const SAMPLE_WEIGHTS = 4_000_000;
/** Trained floats keep more than this share of their bytes, whoever packs them. */
const LOSSLESS_SHARE = 0.5;

/**
 * @throws {BudgetError} if the model cannot be made as small
 * @throws {RangeError} if the target is none
 */
export async function compressModel(
  model: Model,
  target: CompressTarget,
  options: CompressOptions = {},
): Promise<{ bytes: Uint8Array; report: CompressReport }> {
  const { pieces, report } = await compressToPieces(model, target, options);
  return { bytes: joinPieces(pieces), report };
}

/** A file in pieces, what it has to give back beside tensors, and what became of these. */
export interface Compressed {
  /** In their order, for those who write them one by one. */
  pieces: Uint8Array[];
  metadata: Model["metadata"];
  report: CompressReport;
}

/** The same as `compressModel`, with the file's pieces one by one. */
export async function compressToPieces(
  model: Model,
  target: CompressTarget,
  options: CompressOptions = {},
): Promise<Compressed> {
  checkTarget(target);
  const { quantize = fromWeights(model), judge } = options;
  if ("divergence" in target && !judge)
    throw new TypeError("judge: expected a function that says how far a model diverges, got none");
  // A size is that of the whole model, which no part of it knows.
  if (options.shard && !("quality" in target))
    throw new TypeError(`shard: expected the target "quality", got ${Object.keys(target).join(", ")}`);
  const met =
    "divergence" in target
      ? await stayWithin(model, target, quantize, options)
      : await meet(model, target, (lambda) => encodedBy(model, quantize, lambda, options), options);
  const result = met.judgement ? met : await judged(met, judge);
  const { pieces, metadata } = result;
  return { pieces, metadata, report: reportOf(model, result) };
}

async function encodedBy(model: Model, quantize: Quantize, lambda: number, options: CompressOptions) {
  return encodedModel(model, await quantize(lambda), lambda, options);
}

async function judged(encoded: EncodedModel, judge: CompressOptions["judge"]): Promise<EncodedModel> {
  return judge ? { ...encoded, judgement: await judge(await decodedModel(encoded)) } : encoded;
}

/**
 * The smallest file whose outputs stay within the limit. Trials are judged by the values that their files would have, so that only the
 * last one is coded; that one is judged as decoded.
 */
async function stayWithin(
  model: Model,
  target: { divergence: number },
  quantize: Quantize,
  options: CompressOptions,
): Promise<EncodedModel> {
  const { judge, onProgress = () => {} } = options;
  const losslessly = () => encodedModel(model, { tensors: new Map() }, 0, options);
  if (!model.tensors.some(isQuantizable) && keepsIntegers(model)) return losslessly();
  const start = options.start ?? (await likelyLambda(model, target, options));
  const goal = divergenceGoal(target.divergence);
  let trials = 0;
  const { best } = await search(goal, start, async (lambda) => {
    onProgress("trying out", trials++, MAX_TRIALS);
    const made = await quantize(lambda);
    return { made, judgement: await judge!(roundedModel(model, made, lambda)) };
  });
  onProgress("trying out", MAX_TRIALS, MAX_TRIALS);
  // Outputs that no fine step leaves as they are: what depends on every bit is kept bit for bit.
  if (!best) return losslessly();
  const met = await judged(await encodedModel(model, best.made.made, best.lambda, options), judge);
  if (goal.measure(met) <= goal.limit) return met;
  // Some tensors are exact in the file, for no more bytes, and their errors had made up for others'.
  const byFiles = await search(goal, best.lambda, async (lambda) =>
    judged(await encodedBy(model, quantize, lambda, options), judge),
  );
  return byFiles.best?.made ?? losslessly();
}

async function meet(
  model: Model,
  target: Exclude<CompressTarget, { divergence: number }>,
  attempt: (lambda: number) => Promise<EncodedModel>,
  options: CompressOptions,
): Promise<EncodedModel> {
  const losslessly = () => encodedModel(model, { tensors: new Map() }, 0, options);
  const weights = elementsIn(model.tensors.filter(isQuantizable));
  // What was quantized before is kept, and so is all that belongs to it: its outputs stay as they are.
  const isKept = weights === 0 && keepsIntegers(model);
  if (isKept && "quality" in target) return losslessly();
  if ("quality" in target) return attempt(lambdaOfQuality(target.quality));
  if ("maxBytes" in target && target.maxBytes >= LOSSLESS_SHARE * sizeOf(model.tensors)) {
    const lossless = await losslessly();
    if (lossless.bytes <= target.maxBytes) return lossless;
  }
  if (weights === 0 && "bits" in target) throw new BudgetError(isKept ? KEPT : NOTHING);
  const goal = goalOf(target, weights);
  const start = options.start ?? (await likelyLambda(model, target, options));
  const { best, trials } = await search(goal, start, attempt);
  if (best) return best.made;
  if (trials.every(({ measure }) => Number.isNaN(measure))) throw new BudgetError(NOTHING);
  const least = Math.min(...trials.map(({ measure }) => measure));
  const unit = "bits" in target ? "bits per weight" : "bytes";
  throw new BudgetError(`expected at most ${goal.limit} ${unit}, but it takes ${least}`);
}

/** About the lambda for a size, from the weights alone: by a first search in the leading part of a large model's tensors. */
async function likelyLambda(
  model: Model,
  target: Exclude<CompressTarget, { quality: number }>,
  options: CompressOptions,
): Promise<number> {
  // A divergence grows with lambda; of 0.001 it is about quality 70.
  if ("divergence" in target) return lambdaOfQuality(70) * Math.min(1, target.divergence / 0.001);
  const weights = elementsIn(model.tensors.filter(isQuantizable));
  const fixed = sizeOf(model.tensors.filter((tensor) => !isQuantizable(tensor)));
  const bits = "bits" in target ? target.bits : (8 * (target.maxBytes - fixed)) / Math.max(1, weights);
  const guess = 4 ** (1 - Math.max(0, Math.min(25, bits)));
  if (weights <= SAMPLE_WEIGHTS) return guess;
  const sample = leadingParts(model, SAMPLE_WEIGHTS / weights);
  const goal = goalOf({ bits: Math.max(0.05, bits) }, elementsIn(sample.tensors));
  const { best } = await search(goal, guess, async (lambda) =>
    encodedModel(sample, await fromWeights(sample)(lambda), lambda, options),
  );
  return best?.lambda ?? guess;
}

/** The quantizable tensors' leading slices along their first axes. */
function leadingParts(model: Model, share: number): Model {
  const tensors = model.tensors.filter(isQuantizable).map((tensor) => {
    const [extent, ...rest] = tensor.shape;
    const part = Math.max(1, Math.ceil(extent * share));
    const bytes = async () => {
      const all = plainBytes(await tensor.bytes());
      return all.slice(0, (all.length / extent) * part);
    };
    return { ...tensor, shape: [part, ...rest], bytes };
  });
  return { ...model, metadata: {}, tensors };
}

/** The model as a decoder gives it. */
async function decodedModel({ pieces }: EncodedModel): Promise<Model> {
  return (await openBitdiet(await openSource(joinPieces(pieces)))).model;
}

function isQuantizable(tensor: ModelTensor): boolean {
  return channelAxis(tensor) !== undefined;
}

const keepsIntegers = ({ tensors }: Model): boolean => tensors.some(({ use }) => use.kind === "integers");

function elementsIn(tensors: readonly ModelTensor[]): number {
  return tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

function sizeOf(tensors: readonly ModelTensor[]): number {
  return tensors.reduce((sum, { dtype, shape }) => sum + (tensorBytes(dtype, shape) ?? 0), 0);
}

function reportOf(
  model: Model,
  { tensors, bytes, originalBytes, bits, lambda, judgement }: EncodedModel,
): CompressReport {
  const coded = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return {
    format: model.format,
    bytes,
    originalBytes,
    overheadBytes: bytes - coded,
    bits,
    ...(lambda !== undefined && { lambda, quality: qualityOfLambda(lambda) }),
    ...(judgement && { divergence: judgement }),
    tensors,
  };
}
