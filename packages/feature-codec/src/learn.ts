/**
 * Learning a codec from samples: the transform of pixels, one step for all coefficients, and the tables of what comes out.
 * One step for all of an orthonormal transform is the best at high rates; a transform whose basis weighs errors by what they
 * do to the output, as the ELT's, makes it the best for that output (Chmiel et al., arXiv 1905.10830; Young et al., 2009.01174).
 */
import { checkedShape, type Features, valuesOf } from "./check.js";
import { type FeatureCodec, featureCodec } from "./codec.js";
import { encodeModel, MAX_RANGE } from "./codec-file.js";
import { learnTables, modelledBits } from "./learn-tables.js";
import { type LinearTransform, linearModel, type Spread, spreadOf } from "./learn-transform.js";
import type { FeatureModel } from "./model.js";
import { fixedTransform, fromFixed, meanPixels, toFixed } from "./transform.js";

export interface LearnOptions {
  /** Height, width and channels of a frame. */
  shape: readonly [number, number, number];
  /** Fits a transform of pixels: `pcaTransform`, `(_, channels) => dctTransform(channels)`; without it channels are coded as they are. */
  transform?(pixels: Float32Array, channels: number): LinearTransform;
  /** What the features lie in, as [0, 6] after a ReLU6: decoded values are clipped to it. */
  range?: readonly [number, number];
  /** Bits a value that samples shall take on average, above 0. */
  targetBits?: number;
  /** What `divergence` shall stay below. */
  targetDivergence?: number;
  /** How far the network's outputs are off with the samples as they are decoded, in their order: 0 for the same ones. */
  divergence?(decoded: Float32Array[]): number | Promise<number>;
}

/** Values that steps are tried on: as many frames as have so many. */
const TRIED = 2 ** 20;
/** The smallest step tried is this many octaves below the standard deviation of a coefficient; steps go by quarters of an octave. */
const FINEST = 10;
const STEPS = 60;

/**
 * A codec for maps like the samples.
 *
 * @param samples frames, each height · width · channels finite values; a few hundred are better than ten
 * @throws {RangeError} where samples are none or not of the shape, or not exactly one target is given
 */
export async function learnFeatureCodec(
  samples: readonly Features[],
  options: LearnOptions,
): Promise<FeatureCodec> {
  const shape = checkedShape(options.shape);
  const { height, width, channels } = shape;
  if (!(samples?.length > 0)) throw new RangeError("samples: expected at least one frame, got none");
  const frames = samples.map((sample, i) => valuesOf(`samples[${i}]`, sample, height * width * channels));
  const chosen = checkedTarget(options);
  const spread = spreadOf(frames, channels, options.transform);
  const tried = frames.slice(0, Math.max(1, Math.floor(TRIED / frames[0].length)));
  const modelOf = (index: number): FeatureModel => ({
    ...shape,
    ...fixedRange(options.range, spread.fraction),
    ...linearModel(spread, spread.deviation * 2 ** (index / 4 - FINEST)),
    tables: { tableLog: 12, tables: [], tableOf: new Uint8Array(0) },
  });
  // The coarsest step below the target of distortion, or the finest below that of bits.
  let [fine, coarse] = [0, STEPS];
  while (coarse - fine > 1) {
    const middle = (fine + coarse) >> 1;
    const isFineEnough = await chosen.isTooFine(modelOf(middle), tried, frames);
    if (isFineEnough) fine = middle;
    else coarse = middle;
  }
  const model = modelOf(chosen.isBelowFine ? fine : coarse);
  const tables = learnTables(model, frames);
  return featureCodec(encodeModel({ ...model, tables }));
}

/** Whether a step may grow, and which end of the last interval is the answer. */
interface Target {
  isTooFine(model: FeatureModel, tried: Float32Array[], frames: Float32Array[]): boolean | Promise<boolean>;
  isBelowFine: boolean;
}

function checkedTarget({ targetBits, targetDivergence, divergence }: LearnOptions): Target {
  if ((targetBits === undefined) === (targetDivergence === undefined)) {
    throw new RangeError("targetBits, targetDivergence: expected exactly one of them");
  }
  if (targetBits !== undefined) {
    if (!(targetBits > 0)) throw new RangeError(`targetBits: expected a number above 0, got ${targetBits}`);
    const isTooFine = (model: FeatureModel, tried: Float32Array[]) => modelledBits(model, tried) > targetBits;
    return { isTooFine, isBelowFine: false };
  }
  if (!(targetDivergence! > 0)) {
    throw new RangeError(`targetDivergence: expected a number above 0, got ${targetDivergence}`);
  }
  if (typeof divergence !== "function") {
    throw new TypeError(`divergence: expected a function beside targetDivergence, got ${typeof divergence}`);
  }
  const isTooFine = async (model: FeatureModel, _: Float32Array[], frames: Float32Array[]) =>
    (await divergence(frames.map((frame) => quantized(model, frame)))) <= targetDivergence!;
  return { isTooFine, isBelowFine: true };
}

function fixedRange(range: LearnOptions["range"], fraction: number): { least: number; greatest: number } {
  const [least, greatest] = range ?? [-Infinity, Infinity];
  if (!(least <= greatest)) throw new RangeError(`range: expected [least, greatest], got [${range}]`);
  const fixed = (value: number) =>
    Math.max(-MAX_RANGE, Math.min(MAX_RANGE, Math.floor(value * 2 ** fraction + 0.5)));
  return { least: fixed(least), greatest: fixed(greatest) };
}

/** A frame as it would be decoded. */
function quantized(model: FeatureModel, frame: Float32Array): Float32Array {
  const { fraction } = model;
  const { analyse, synthesise } = fixedTransform(model);
  const pixels = meanPixels(model);
  synthesise(analyse(toFixed(frame, fraction, pixels), 0), 0, pixels);
  return fromFixed(pixels, fraction);
}

export type { LinearTransform, Spread };
