/**
 * One frame as bytes: what it is, a checksum, tokens, and the bits behind these. See FORMAT.md, "Frame".
 *
 *     f4 · coarseness (zigzag) · checksum · length of tokens · tokens · bits           from the mean pixel
 *     f5 · coarseness (zigzag) · likeness · length of map · map · checksum · …         from a reference, pixels skipped
 */
import { type AnsCode, contextAnsCode } from "@bitdiet/ans";
import { corrupt, readNumber, writeNumber, xxHash32 } from "@bitdiet/stream";
import { type BitWriter, bitReader, bitWriter } from "./bits.js";
import {
  CONTEXTS,
  type FrameContexts,
  frameContexts,
  type Layout,
  layoutOf,
  sizeClasses,
} from "./contexts.js";
import { type FeatureModel, MAX_ADDED, MAX_COARSENESS, MIN_COARSENESS, scaled } from "./model.js";
import { skippedCode } from "./skipped.js";
import { ALPHABET, ESCAPE, MAX_MAGNITUDE, PLAIN_TOKENS, putExtra, takeInteger, tokenOf } from "./tokens.js";
import { type FixedTransform, fixedTransform, fromFixed, meanPixels, toFixed } from "./transform.js";

const ALONE = 0xf4;
const PREDICTED = 0xf5;
/** Quarters of an octave by which a predicted frame's coefficients may be smaller than a frame's by itself; one is chosen. */
const LIKENESSES = [0, 6, 12, 18];
const MAX_LIKENESS = 63;

/** What frames of one codec need, made once. */
export interface FrameCoder {
  model: FeatureModel;
  transform: FixedTransform;
  /** The mean pixel everywhere. */
  mean: Float64Array;
  contexts: FrameContexts;
  /** Of tokens: decoding asks `contexts`, encoding what it has asked before and kept in `known`. */
  decoder: AnsCode;
  encoder: AnsCode;
  known: Uint16Array;
  /** Whether a token has a place in a table: [table · ALPHABET + token]. */
  has: Uint8Array;
  skipped: AnsCode;
  /** The layout of a frame without skipped pixels. */
  whole: Layout;
  /** The hash of the codec's own bytes: another codec's frames do not fit. */
  seed: number;
}

export function frameCoder(model: FeatureModel, seed: number): FrameCoder {
  const contexts = frameContexts(model.rows);
  const known = new Uint16Array(model.height * model.width * model.rows);
  return {
    model,
    transform: fixedTransform(model),
    mean: meanPixels(model),
    contexts,
    decoder: contextAnsCode(model.tables, contexts),
    encoder: contextAnsCode(model.tables, { count: CONTEXTS, contextOf: (_, index) => known[index] }),
    known,
    has: Uint8Array.from(model.tables.tables.flatMap((table) => Array.from(table, (f) => (f > 0 ? 1 : 0)))),
    skipped: skippedCode(model),
    whole: layoutOf(model),
    seed,
  };
}

/** The pixels that a frame is predicted from: the reference's, or the mean one everywhere. */
function predicted({ model, mean }: FrameCoder, reference: Float32Array | undefined): Float64Array {
  return reference === undefined ? mean : toFixed(reference, model.fraction);
}

/** @param reference finite, as many values as features */
export function encodeFrame(
  coder: FrameCoder,
  features: Float32Array,
  coarseness: number,
  reference?: Float32Array,
): Uint8Array {
  const { model } = coder;
  const differences = toFixed(features, model.fraction, predicted(coder, reference));
  const steps = coder.transform.analyse(differences, coarseness);
  const header = [reference === undefined ? ALONE : PREDICTED];
  writeNumber(header, zigzag(coarseness));
  if (reference === undefined) {
    return joined(coder, header, steps, undefined, codeSteps(coder, steps, coder.whole, coarseness));
  }
  const isCoded = codedPixels(steps, model.rows);
  const layout = layoutOf(model, isCoded);
  const coded = withoutSkipped(steps, isCoded, model.rows);
  let best: { parts: Parts; likeness: number } | undefined;
  for (const likeness of LIKENESSES) {
    const parts = codeSteps(coder, coded, layout, coarseness + likeness);
    if (!best || size(parts) < size(best.parts)) best = { parts, likeness };
  }
  writeNumber(header, best!.likeness);
  const map = coder.skipped.encode(isCoded);
  writeNumber(header, map.length);
  header.push(...map);
  return joined(coder, header, steps, reference, best!.parts);
}

const zigzag = (integer: number) => (integer < 0 ? -2 * integer - 1 : 2 * integer);
const unzigzag = (number: number) => (number & 1 ? -(number + 1) / 2 : number / 2);

interface Parts {
  tokens: Uint8Array;
  extra: Uint8Array;
}
const size = ({ tokens, extra }: Parts) => tokens.length + extra.length;

function joined(
  coder: FrameCoder,
  header: number[],
  steps: Int32Array,
  reference: Float32Array | undefined,
  { tokens, extra }: Parts,
): Uint8Array {
  const length: number[] = [];
  writeNumber(length, tokens.length);
  const bytes = new Uint8Array(header.length + 4 + length.length + tokens.length + extra.length);
  bytes.set(header);
  new DataView(bytes.buffer).setUint32(
    header.length,
    checksum(coder, Uint8Array.from(header), steps, reference),
    true,
  );
  bytes.set(length, header.length + 4);
  bytes.set(tokens, header.length + 4 + length.length);
  bytes.set(extra, bytes.length - extra.length);
  return bytes;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Int32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** xxHash32 over the codec, the reference, the header, and the steps as 32-bit integers, each seeding the next. */
function checksum(
  { seed }: FrameCoder,
  header: Uint8Array,
  steps: Int32Array,
  reference: Float32Array | undefined,
): number {
  const before = reference === undefined ? seed : xxHash32(bytesOf(reference), seed);
  return xxHash32(bytesOf(steps), xxHash32(header, before));
}

/** 1 for each pixel with a step in it. */
function codedPixels(steps: Int32Array, rows: number): Uint8Array {
  return Uint8Array.from({ length: steps.length / rows }, (_, pixel) =>
    steps.subarray(pixel * rows, (pixel + 1) * rows).some((step) => step !== 0) ? 1 : 0,
  );
}

function withoutSkipped(steps: Int32Array, isCoded: Uint8Array, rows: number): Int32Array {
  const out = new Int32Array(steps.length);
  let at = 0;
  for (let pixel = 0; pixel < isCoded.length; pixel++) {
    if (isCoded[pixel] === 0) continue;
    out.set(steps.subarray(pixel * rows, (pixel + 1) * rows), at);
    at += rows;
  }
  return out.subarray(0, at);
}

function codeSteps(coder: FrameCoder, steps: Int32Array, layout: Layout, coarseness: number): Parts {
  const { contexts, model, has, known } = coder;
  const { tableOf } = model.tables;
  const tokens = new Uint8Array(steps.length);
  const extra: BitWriter = bitWriter();
  contexts.start(layout, sizeClasses(model.sizes, coarseness));
  for (let i = 0; i < tokens.length; i++) {
    const integer = steps[i];
    const token = tokenOf(integer);
    known[i] = contexts.contextOf(tokens, i);
    const table = tableOf[known[i]] * ALPHABET;
    tokens[i] = has[table + token] ? token : ESCAPE;
    if (tokens[i] >= PLAIN_TOKENS) putExtra(extra, tokens[i], integer);
  }
  return { tokens: coder.encoder.encode(tokens), extra: extra.bytes() };
}

/**
 * @param reference what the frame was predicted from
 * @throws {CorruptInputError} unless the bytes are a frame of this codec and, where it is predicted, this reference
 */
export function decodeFrame(coder: FrameCoder, bytes: Uint8Array, reference?: Float32Array): Float32Array {
  const { model } = coder;
  let at = 0;
  const number = () => readNumber(() => bytes[at++]);
  const part = (what: string) => {
    const length = number();
    if (length > bytes.length - at) corrupt(`frame: ${what}`);
    return bytes.subarray(at, (at += length));
  };
  const kind = bytes[at++];
  if (kind !== ALONE && kind !== PREDICTED) corrupt("frame: not one of @bitdiet/feature-codec");
  const coarseness = unzigzag(number());
  if (coarseness < MIN_COARSENESS || coarseness > MAX_COARSENESS) corrupt(`frame: coarseness ${coarseness}`);
  let likeness = 0;
  let isCoded: Uint8Array | undefined;
  if (kind === PREDICTED) {
    if (reference === undefined) corrupt("frame: predicted from a reference, and there is none");
    likeness = number();
    if (likeness > MAX_LIKENESS) corrupt(`frame: likeness ${likeness}`);
    isCoded = coder.skipped.decode(part("map"), model.height * model.width) as Uint8Array;
  }
  const from = kind === PREDICTED ? reference : undefined;
  const header = bytes.subarray(0, at);
  at += 4;
  if (at > bytes.length) corrupt("frame: end");
  const stored = new DataView(bytes.buffer, bytes.byteOffset).getUint32(at - 4, true);
  const layout = isCoded ? layoutOf(model, isCoded) : coder.whole;
  const tokens = part("tokens");
  const coded = takeSteps(coder, tokens, bytes.subarray(at), layout, coarseness, likeness);
  const steps = isCoded ? withSkipped(coded, isCoded, model.rows) : coded;
  if (checksum(coder, header, steps, from) !== stored) {
    corrupt("frame: checksum; altered, or of another codec or reference");
  }
  const pixels = predicted(coder, from).slice();
  coder.transform.synthesise(steps, coarseness, pixels);
  return fromFixed(pixels, model.fraction);
}

function takeSteps(
  { contexts, model, decoder }: FrameCoder,
  bytes: Uint8Array,
  bits: Uint8Array,
  layout: Layout,
  coarseness: number,
  likeness: number,
): Int32Array {
  const { rows, gains } = model;
  contexts.start(layout, sizeClasses(model.sizes, coarseness + likeness));
  const decoded = decoder.decode(bytes, layout.count * rows);
  const extra = bitReader(bits);
  const steps = new Int32Array(decoded.length);
  const most = Int32Array.from(gains, (gain) =>
    Math.min(MAX_MAGNITUDE, Math.floor(MAX_ADDED / scaled(gain, coarseness))),
  );
  for (let i = 0; i < steps.length; i++) {
    const token = decoded[i];
    steps[i] =
      token < PLAIN_TOKENS ? (token & 1 ? (token + 1) >> 1 : -(token >> 1)) : takeInteger(extra, token);
  }
  extra.finish();
  for (let i = 0, k = 0; i < steps.length; i++) {
    if (Math.abs(steps[i]) > most[k]) corrupt("frame: a coefficient out of range");
    if (++k === rows) k = 0;
  }
  return steps;
}

function withSkipped(coded: Int32Array, isCoded: Uint8Array, rows: number): Int32Array {
  const steps = new Int32Array(isCoded.length * rows);
  let at = 0;
  for (let pixel = 0; pixel < isCoded.length; pixel++) {
    if (isCoded[pixel]) steps.set(coded.subarray(at, (at += rows)), pixel * rows);
  }
  return steps;
}
