// Feature maps in the spirit of DCT-CM (Shi et al., "Transform-based feature map compression for CNN inference", ISCAS 2021,
// arXiv 2106.12850), of which only the abstract is known: a DCT along channels, masks, a coding format, 8 bits. Groups of 8
// channels, steps, widths and layout are ours. A mask says which values are not zero, and zeros come back as zeros; the DCT's
// coefficients have a mask of their own; layers of few values skip the DCT; what would not shrink is stored as it is.
// Example: levels 5 0 0 3 0 0 0 0 without DCT are the mask 10010000 and two bytes, 24 bits in place of 64.
import { compress, decompress } from "@bitdiet/ans";
import { dct, idct } from "@bitdiet/dct-transform";
import { bitReader, bitWriter } from "@bitdiet/zoo/shipping/bit-stream";

export const GROUP = 8;
const TOP = 255;

/** How a layer's maps are written; frozen at calibration. */
export interface DctMapFormat {
  channels: number;
  /** Value of level 1; levels are 0 .. 255. */
  scale: number;
  /** The channel at each place, so that channels that are alike share a group. */
  order: Uint16Array;
  /** Step of each of a group's 8 frequencies, in levels; without, no DCT, and nothing is lost. */
  steps?: Float32Array;
  /** Bits of a coefficient that is not 0: its sign and its magnitude less 1. */
  widths: Uint8Array;
}

/** Levels by pixel and place, [pixels, groups x 8]: channels in their order, places that are left over zero. */
export function levelsOf({ channels, scale, order }: DctMapFormat, values: Float32Array): Uint8Array {
  const places = GROUP * Math.ceil(channels / GROUP);
  const levels = new Uint8Array((values.length / channels) * places);
  for (let from = 0, to = 0; from < values.length; from += channels, to += places) {
    for (let place = 0; place < channels; place++)
      levels[to + place] = Math.min(TOP, Math.round(values[from + order[place]] / scale));
  }
  return levels;
}

/** The inverse of levelsOf. */
export function valuesOf({ channels, scale, order }: DctMapFormat, levels: Uint8Array): Float32Array {
  const places = GROUP * Math.ceil(channels / GROUP);
  const values = new Float32Array((levels.length / places) * channels);
  for (let to = 0, from = 0; to < values.length; to += channels, from += places) {
    for (let place = 0; place < channels; place++) values[to + order[place]] = levels[from + place] * scale;
  }
  return values;
}

/** What is written for each value: its level, or with a DCT the multiple of its frequency's step. */
export function coefficientsOf({ steps, widths }: DctMapFormat, levels: Uint8Array): Int16Array {
  if (!steps) return new Int16Array(levels);
  const coefficients = dct(new Float32Array(levels), GROUP);
  const tops = Array.from(widths, (width) => 2 ** (width - 1));
  const rounded = new Int16Array(levels.length);
  for (let i = 0; i < rounded.length; i++) {
    const k = i & 7;
    rounded[i] = Math.max(-tops[k], Math.min(tops[k], Math.round(coefficients[i] / steps[k])));
  }
  return rounded;
}

/** Levels from coefficients; a value whose mask bit is not set is zero. */
function levelsFrom({ steps }: DctMapFormat, coefficients: Int16Array, masks: Uint8Array): Uint8Array {
  if (!steps) return new Uint8Array(coefficients);
  const scaled = new Float32Array(coefficients.length);
  for (let i = 0; i < scaled.length; i++) scaled[i] = coefficients[i] * steps[i & 7];
  const levels = new Uint8Array(scaled.length);
  const values = idct(scaled, GROUP);
  for (let i = 0; i < levels.length; i++) {
    if (isSet(masks[i >> 3], i & 7)) levels[i] = Math.max(0, Math.min(TOP, Math.round(values[i])));
  }
  return levels;
}

/** A byte a group: which of its values are not zero, the first at the top. */
function masksOf(values: ArrayLike<number>): Uint8Array {
  const masks = new Uint8Array(values.length / GROUP);
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) masks[i >> 3] |= 0x80 >> (i & 7);
  return masks;
}

const isSet = (mask: number, place: number): boolean => (mask & (0x80 >> place)) !== 0;

/** What comes back of levels: everything without a DCT, else what the steps leave. */
export const reconstructed = (format: DctMapFormat, levels: Uint8Array): Uint8Array =>
  levelsFrom(format, coefficientsOf(format, levels), masksOf(levels));

/**
 * The packed format: a bit for the escape, and unless it is set, for each group the mask of its values, with a DCT the mask
 * of its coefficients, and every coefficient (or level) that is not 0 in its width. A group of zeros is its mask alone.
 */
export function packMaps(format: DctMapFormat, levels: Uint8Array): Uint8Array {
  const coefficients = coefficientsOf(format, levels);
  const values = masksOf(levels);
  const nonZero = format.steps ? masksOf(coefficients) : values;
  const writer = bitWriter();
  writer.put(0, 1);
  for (let group = 0; group < values.length; group++) {
    writer.put(values[group], GROUP);
    if (values[group] === 0) continue;
    if (format.steps) writer.put(nonZero[group], GROUP);
    for (let k = 0; k < GROUP; k++) {
      const value = coefficients[group * GROUP + k];
      if (value === 0) continue;
      writer.put(format.steps ? (Math.abs(value) - 1) * 2 + (value < 0 ? 1 : 0) : value, widthOf(format, k));
    }
  }
  const packed = writer.bytes();
  if (packed.length <= levels.length) return packed;
  const raw = bitWriter();
  raw.put(1, 1);
  // What comes back must not hang on the escape.
  for (const level of reconstructed(format, levels)) raw.put(level, 8);
  return raw.bytes();
}

/** Levels as the packed format gives them back. @throws {RangeError} where the bytes end too early */
export function unpackMaps(format: DctMapFormat, bytes: Uint8Array, count: number): Uint8Array {
  const reader = bitReader(bytes);
  if (reader.take(1) === 1) return Uint8Array.from({ length: count }, () => reader.take(8));
  const masks = new Uint8Array(count / GROUP);
  const coefficients = new Int16Array(count);
  for (let group = 0; group < masks.length; group++) {
    masks[group] = reader.take(GROUP);
    if (masks[group] === 0) continue;
    const nonZero = format.steps ? reader.take(GROUP) : masks[group];
    for (let k = 0; k < GROUP; k++) {
      if (!isSet(nonZero, k)) continue;
      const code = reader.take(widthOf(format, k));
      coefficients[group * GROUP + k] = format.steps ? ((code >> 1) + 1) * (code & 1 ? -1 : 1) : code;
    }
  }
  return levelsFrom(format, coefficients, masks);
}

const widthOf = ({ steps, widths }: DctMapFormat, k: number): number => (steps ? widths[k] : 8);

/**
 * The same content as streams for an entropy coder: masks of values, and for each frequency its coefficients (sign folded
 * in: 0, -1, 1, -2 .. as 0, 1, 2, 3 ..) in groups that are not all zero; without a DCT the levels that are not 0.
 */
export function streamsOf(format: DctMapFormat, levels: Uint8Array): Uint16Array[] {
  const coefficients = coefficientsOf(format, levels);
  const masks = masksOf(levels);
  if (!format.steps)
    return [new Uint16Array(masks), new Uint16Array(coefficients.filter((level) => level !== 0))];
  const groups = Array.from(masks.keys()).filter((group) => masks[group] !== 0);
  const column = (k: number) => {
    const folded = new Uint16Array(groups.length);
    for (const [i, group] of groups.entries()) {
      const value = coefficients[group * GROUP + k];
      folded[i] = value < 0 ? -2 * value - 1 : 2 * value;
    }
    return folded;
  };
  return [new Uint16Array(masks), ...Array.from({ length: GROUP }, (_, k) => column(k))];
}

/** Levels from those streams. */
export function levelsOfStreams(format: DctMapFormat, [head, ...rest]: Uint16Array[]): Uint8Array {
  const masks = Uint8Array.from(head);
  const coefficients = new Int16Array(masks.length * GROUP);
  for (let group = 0, dense = 0, next = 0; group < masks.length; group++) {
    if (masks[group] === 0) continue;
    for (let k = 0; k < GROUP; k++) {
      if (!format.steps) {
        if (isSet(masks[group], k)) coefficients[group * GROUP + k] = rest[0][next++];
        continue;
      }
      const folded = rest[k][dense];
      coefficients[group * GROUP + k] = folded & 1 ? -(folded + 1) / 2 : folded / 2;
    }
    dense++;
  }
  return levelsFrom(format, coefficients, masks);
}

export const codeStreams = (streams: readonly Uint16Array[]): Uint8Array[] =>
  streams.map((stream) => compress(stream));
export const decodeStreams = (coded: readonly Uint8Array[]): Uint16Array[] =>
  coded.map((bytes) => Uint16Array.from(decompress(bytes)));

/** Widths that hold every coefficient of the calibration levels, at least the sign. */
export function widthsFor(steps: Float32Array, levels: Uint8Array): Uint8Array {
  const largest = new Float64Array(GROUP);
  const coefficients = dct(new Float32Array(levels), GROUP);
  for (let i = 0; i < coefficients.length; i++) {
    largest[i & 7] = Math.max(largest[i & 7], Math.abs(Math.round(coefficients[i] / steps[i & 7])));
  }
  return Uint8Array.from(largest, (top) => 1 + Math.ceil(Math.log2(Math.max(1, top))));
}

/**
 * Channels ordered so that neighbours are alike: from the first channel on, always the one that correlates most with the
 * last. @param values [pixels, channels]
 */
export function correlationOrder(values: Float32Array, channels: number): Uint16Array {
  const products = new Float64Array(channels * channels);
  const sums = new Float64Array(channels);
  const count = values.length / channels;
  for (let from = 0; from < values.length; from += channels) {
    for (let i = 0; i < channels; i++) {
      sums[i] += values[from + i];
      for (let j = 0; j <= i; j++) products[i * channels + j] += values[from + i] * values[from + j];
    }
  }
  const covariance = (i: number, j: number) =>
    products[Math.max(i, j) * channels + Math.min(i, j)] / count - (sums[i] / count) * (sums[j] / count);
  const correlation = (i: number, j: number) =>
    covariance(i, j) / Math.sqrt(covariance(i, i) * covariance(j, j) + 1e-30);
  const order = [0];
  const left = new Set(Array.from({ length: channels - 1 }, (_, c) => c + 1));
  while (left.size > 0) {
    const last = order[order.length - 1];
    const next = [...left].reduce((best, c) => (correlation(last, c) > correlation(last, best) ? c : best));
    order.push(next);
    left.delete(next);
  }
  return Uint16Array.from(order);
}
