/**
 * Inputs for a model that nobody gave any for, from its signature alone: pictures, token ids with their masks, sound, states.
 *
 *     const feeds = madeUpInputs(runner.inputs, { count: 32, seed: 1 });
 *     await runner.run(feeds[0]);
 *
 * What an input is follows from its name, type and shape; see `kindOf`. The same seed gives the same inputs everywhere.
 */
import { floatBytes } from "../../formats/floats.js";
import { uniform } from "../random.js";
import type { RunData, RunInput, RunTensor } from "../runner.js";
import { type Makers, natural } from "./makers.js";
import { type InputHints, isSparse, shapesOf } from "./shapes.js";
import { isState } from "./states.js";
import { madeUpText } from "./texts.js";

export type Feeds = ReadonlyMap<string, RunTensor>;

/** Sampling rate of sound, where the model asks for it or does not say. */
const SAMPLE_RATE = 16000;
/** Token ids without a hint: small enough for most tables. */
const VOCABULARY = 128;
/** Longer rows of numbers without a name are taken for sound. */
const MIN_SAMPLES = 2048;
const SOUND = /audio|wav|sound|speech|sample|pcm|signal|input_values/i;

type Kind =
  | "picture"
  | "sound"
  | "ids"
  | "flags"
  | "ones"
  | "zeros"
  | "positions"
  | "places"
  | "rate"
  | "length"
  | "floats";

export interface MakeOptions {
  count?: number;
  seed?: number;
  hints?: InputHints;
  makers?: Makers;
}

/**
 * @param count batches of one input each; of a model with states, consecutive steps
 * @returns a tensor for each input, `count` times
 * @throws {RangeError} if the rank of an input is not known
 */
export function madeUpInputs(
  inputs: readonly RunInput[],
  { count = 32, seed = 1, hints = {}, makers = natural }: MakeOptions = {},
): Feeds[] {
  const next = uniform(seed);
  const shapes = shapesOf(inputs, hints);
  const length = Math.max(1, ...shapes.flatMap((shape) => shape.slice(1)));
  const kinds = inputs.map((input, i) => kindOf(input, shapes[i], inputs));
  // Steps hear one sound: a detector of voices does not wake for pieces of many.
  const isSteps = inputs.some(({ name }) => isState(name));
  const sounds = kinds.map((kind, i) =>
    isSteps && kind === "sound" ? makers.sound(count * sizeOf(shapes[i]), SAMPLE_RATE, next) : undefined,
  );
  return Array.from(
    { length: count },
    (_, step) =>
      new Map(
        inputs.map(({ name, dtype }, i): [string, RunTensor] => {
          if (dtype === "string") return [name, { dtype, shape: shapes[i], data: texts(shapes[i], next) }];
          const size = sizeOf(shapes[i]);
          const values =
            sounds[i]?.slice(step * size, (step + 1) * size) ??
            valuesOf(kinds[i], shapes[i], { hints, length, next, makers });
          const scaled = kinds[i] === "picture" ? inRange(values, shapes[i], name, dtype, hints) : values;
          return [name, { dtype, shape: shapes[i], data: asData(dtype, scaled) }];
        }),
      ),
  );
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** What an input wants to be given. */
function kindOf(input: RunInput, shape: readonly number[], all: readonly RunInput[]): Kind {
  const { name, dtype } = input;
  const size = sizeOf(shape);
  if (isState(name)) return "zeros";
  if (/mask/i.test(name)) return "ones";
  if (layoutOf(shape)) return "picture";
  // Both branches of a condition are seen; but there is no past to take from a cache.
  if (dtype === "bool") return /cache|past/i.test(name) ? "zeros" : "flags";
  if (/int/.test(dtype)) {
    if (isSparse(name, shape)) return shape.length === 2 ? "places" : "ids";
    if (/type|segment/i.test(name)) return "zeros";
    if (/position/i.test(name)) return "positions";
    if (/^sr$|rate/i.test(name)) return "rate";
    if (/len|size/i.test(name)) return "length";
    return size === 1 && shape.length < 2 ? "ones" : "ids";
  }
  const isLong = shape.some((extent) => extent === size && extent >= MIN_SAMPLES);
  const hasRate = all.some((other) => /^sr$|rate/i.test(other.name));
  const isRow = shape.some((extent) => extent === size && extent > 1);
  return isLong || (isRow && (hasRate || SOUND.test(name))) ? "sound" : "floats";
}

export interface Layout {
  height: number;
  width: number;
  channels: number;
  /** NHWC, not NCHW. */
  isLast: boolean;
}

/** How pictures lie in a shape; undefined unless it has rank 4, and 1, 3 or 4 channels in the second or in the last place. */
export function layoutOf(shape: readonly number[]): Layout | undefined {
  const [, second, third, last] = shape;
  const isChannels = (extent: number) => extent === 1 || extent === 3 || extent === 4;
  if (shape.length !== 4) return undefined;
  if (second === 3 || (isChannels(second) && last !== 3))
    return { height: third, width: last, channels: second, isLast: false };
  return isChannels(last) ? { height: second, width: third, channels: last, isLast: true } : undefined;
}

interface Making {
  hints: InputHints;
  /** The largest extent of any input: how long a sequence is. */
  length: number;
  next: () => number;
  makers: Makers;
}

function valuesOf(
  kind: Kind,
  shape: readonly number[],
  { hints, length, next, makers }: Making,
): Float32Array {
  const size = sizeOf(shape);
  if (kind === "picture") return pictures(shape, next, makers);
  if (kind === "sound") return makers.sound(size, SAMPLE_RATE, next);
  const value: Record<Exclude<Kind, "picture" | "sound">, (index: number) => number> = {
    ids: () => makers.word(hints.vocabulary ?? VOCABULARY, next),
    flags: () => Math.floor(2 * next()),
    ones: () => 1,
    zeros: () => 0,
    positions: (index) => index % (shape.at(-1) ?? 1),
    places: (index) => (index % 2 === 0 ? 0 : (index - 1) / 2),
    rate: () => SAMPLE_RATE,
    length: () => length,
    floats: () => makers.number(next),
  };
  return Float32Array.from({ length: size }, (_, index) => value[kind](index));
}

function texts(shape: readonly number[], next: () => number): string[] {
  return Array.from({ length: sizeOf(shape) }, () => madeUpText(next));
}

/** Pictures of 0 to 1 in the order of the shape. */
function pictures(shape: readonly number[], next: () => number, makers: Makers): Float32Array {
  const { isLast, ...size } = layoutOf(shape)!;
  const plane = size.height * size.width;
  const all = new Float32Array(shape[0] * plane * size.channels);
  for (let at = 0; at < all.length; at += plane * size.channels) {
    const picture = makers.picture(size, next);
    for (let i = 0; i < picture.length; i++) {
      const [pixel, c] = [Math.floor(i / size.channels), i % size.channels];
      all[isLast ? at + i : at + c * plane + pixel] = picture[i];
    }
  }
  return all;
}

/** Mean and deviation of ImageNet, in which pixel_values are given by convention. */
const IMAGENET = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

/** Pictures of 0 to 1 in the range that the model expects: as hinted, by its name and type, or else -1 to 1. */
export function inRange(
  values: Float32Array,
  shape: readonly number[],
  name: string,
  dtype: string,
  hints: InputHints,
): Float32Array {
  if (/int/.test(dtype)) return values.map((value) => Math.round(255 * value));
  const byName = name === "pixel_values" ? IMAGENET : { mean: [0.5], deviation: [0.5] };
  const { mean, deviation } = hints.range ?? byName;
  const { isLast, height, width, channels } = layoutOf(shape)!;
  const plane = isLast ? 1 : height * width;
  return values.map((value, i) => {
    const c = Math.floor(i / plane) % channels;
    return (value - mean[c % mean.length]) / deviation[c % deviation.length];
  });
}

/** Numbers as a tensor of this type holds them. */
export function asData(dtype: string, values: Float32Array): RunData {
  if (dtype === "float16" || dtype === "bfloat16") {
    const bytes = floatBytes(dtype, values);
    return new Uint16Array(bytes.buffer, bytes.byteOffset, values.length);
  }
  if (dtype === "float64") return Float64Array.from(values);
  if (dtype === "int64") return BigInt64Array.from(values, BigInt);
  if (dtype === "uint64") return BigUint64Array.from(values, BigInt);
  if (dtype === "int32") return Int32Array.from(values);
  if (dtype === "uint32") return Uint32Array.from(values);
  if (dtype === "int16") return Int16Array.from(values);
  if (dtype === "uint16") return Uint16Array.from(values);
  if (dtype === "int8") return Int8Array.from(values, (value) => value - 128);
  if (dtype === "uint8" || dtype === "bool") return Uint8Array.from(values);
  return values;
}
