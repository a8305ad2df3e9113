/**
 * FORMAT.md's chapter on weights as a slow program, one weight and one bit at a time. It shares the learned logits with the package, and
 * nothing else.
 */
import { KERNEL_LOGITS, MATRIX_LOGITS } from "../src/weights-logits.js";

const GAINS = [
  "00 02 04 06 08 11 22 24 26 42 44 62 60 40 80 15".split(" ").map((pair) => [...pair].map(Number)),
].flat();
const PIECE_STARTS = [1, 2, 3, 5, 9, 17];
const CLASS_STARTS = [0, 1, 2, 3, 5, 9, 17, 33];
const classOf = (value: number, starts: readonly number[]) =>
  starts.filter((start) => value >= start).length - 1;
const floor = Math.floor;
const clip = (value: number) => Math.max(-63, Math.min(63, value));

function logarithm(mean: number): number {
  const octave = floor(Math.log2(mean + 1) + 1e-9);
  return 128 * octave + floor(((mean + 1 - 2 ** octave) * 128) / 2 ** octave);
}

function probability(logit: number): number {
  const half = Array.from({ length: 18 }, (_, i) => Math.round(65536 / (1 + Math.exp(-i / 2))));
  const size = Math.min(Math.abs(logit), 256);
  const [low, high] = [half[floor(size / 16)], half[floor(size / 16) + 1]];
  const p = low + floor(((high - low) * (size % 16)) / 16);
  return logit < 0 ? 65536 - p : p;
}

function frequenciesOf(isMatrix: boolean, profile: number, scale: number, expected: number) {
  const [text, classes, perOctave] = isMatrix ? [MATRIX_LOGITS, 1, 4] : [KERNEL_LOGITS, 8, 2];
  const [decisions, profiles] = [isMatrix ? 7 : 14, 2];
  /** The sum of so many characters from `start` on, each `every` further. */
  const summed = (start: number, count: number, every = 1) => {
    let total = 0;
    for (let i = 0; i < count; i++) total += text.charCodeAt(start + i * every) - 80;
    return total;
  };
  const decision = (d: number) => {
    const byClass = (knot: number) => {
      let total = 0;
      for (let c = 0; c <= expected; c++) total += summed(d * 11 * classes + c, knot + 1, classes);
      return total;
    };
    const byProfile = (knot: number) => summed(11 * (decisions * classes + d * profiles + profile), knot + 1);
    const at = (knot: number) => byClass(knot) + byProfile(knot);
    const knot = floor(scale / perOctave);
    const eighths = 8 * ((scale % perOctave) + 0.5) * (1 / perOctave);
    const last = 11 * decisions * (classes + profiles);
    const own = isMatrix ? 0 : summed(last + (d * profiles + profile) * classes + expected, 1);
    return probability((8 - eighths) * at(knot) + eighths * at(knot + 1) + 8 * own);
  };
  const frequencies = new Map<number, number>();
  const round = (p: number) => floor((p + 32) / 64);
  const nonZero = decision(0);
  frequencies.set(0, round(65536 - nonZero));
  const negative = isMatrix ? 32768 : decision(1);
  let escaped = nonZero;
  let limit = 63;
  for (const sign of [1, -1]) {
    let left = floor((nonZero * (sign > 0 ? 65536 - negative : negative)) / 65536);
    for (let k = 1; k <= 63; k++) {
      const first = isMatrix ? 1 : sign > 0 ? 2 : 8;
      const more = floor((left * decision(first + classOf(k, PIECE_STARTS))) / 65536);
      frequencies.set(sign * k, round(left - more));
      if (round(left - more) > 0) escaped -= left - more;
      else limit = Math.min(limit, k - 1);
      left = more;
    }
  }
  frequencies.set(-64, Math.max(1, round(escaped)));
  const ascending = [...frequencies].sort(([a], [b]) => a - b);
  const sum = ascending.reduce((total, [, frequency]) => total + frequency, 0);
  const most = Math.max(...ascending.map(([, frequency]) => frequency));
  const likeliest = ascending.find(([, frequency]) => frequency === most)!;
  likeliest[1] += 1024 - sum;
  return { frequencies: ascending.filter(([, frequency]) => frequency > 0), limit };
}

/** [value, inner state] of each slot. */
function slotsOf(frequencies: readonly (readonly [number, number])[]): [number, number][] {
  const wishes = frequencies.flatMap(([value, f]) =>
    Array.from({ length: f }, (_, i) => ({ value, f, at: floor(((2 * i + 1) * 1024) / (2 * f)) })),
  );
  wishes.sort((a, b) => a.at - b.at || a.value - b.value);
  const used = new Map<number, number>();
  return wishes.map(({ value, f }) => {
    const r = used.get(value) ?? 0;
    used.set(value, r + 1);
    return [value, f + r];
  });
}

const bitsOf = (bytes: Uint8Array) =>
  [...bytes].flatMap((byte) => [0, 1, 2, 3, 4, 5, 6, 7].map((i) => (byte >> i) & 1));

export function referenceDecode(
  bytes: Uint8Array,
  count: number,
  rowLength: number,
  [height, width]: readonly [number, number],
): number[] {
  if (count === 0) return [];
  const isMatrix = height * width === 1;
  const profile = bytes[0] % 16;
  const [rowGain, columnGain] = GAINS[bytes[0] >> 4];
  const mean = [16, 19, 23, 27][bytes[1] % 4] * 2 ** floor(bytes[1] / 4);
  let at = 2;
  let lowBytes = 0;
  for (let unit = 1; ; unit *= 128) {
    lowBytes += (bytes[at] % 128) * unit;
    if (bytes[at++] < 128) break;
  }
  const low = bitsOf(bytes.subarray(at, at + lowBytes));
  const payload = bitsOf(bytes.subarray(at + lowBytes));
  const take = (bits: number[], width: number) => {
    let value = 0;
    for (let i = 0; i < width; i++) value += bits.shift()! * 2 ** i;
    return value;
  };
  while (payload.shift() === 0);
  const states = Array.from({ length: 4 }, () => take(payload, 10));
  const cache = new Map<number, { slots: [number, number][]; limit: number }>();
  const tableOf = (scale: number, expected: number) => {
    const key = 8 * scale + expected;
    if (!cache.has(key)) {
      const { frequencies, limit } = frequenciesOf(isMatrix, profile, scale, expected);
      cache.set(key, { slots: slotsOf(frequencies), limit });
    }
    return cache.get(key)!;
  };
  const perOctave = isMatrix ? 4 : 2;
  const integers = new Array<number>(count).fill(0);
  const columns = new Array<number>(rowLength).fill(mean);
  const rows = count / rowLength;
  let rowStart = mean;
  for (let row = 0; row < rows; row += 4) {
    const lanes = Math.min(4, rows - row);
    const means = new Array<number>(4).fill(rowStart);
    const absents = [0, 0, 0, 0];
    for (let j = 0; j < rowLength; j++) {
      const x = isMatrix ? j : j % width;
      const y = isMatrix ? 0 : floor(j / width) % height;
      const columnMean = floor(columns[j] / 16);
      for (let lane = 0; lane < lanes; lane++) {
        const place = (row + lane) * rowLength + j;
        if (x === 0) absents[lane] = floor(means[lane] / 16);
        const near = (dx: number, dy: number, exists: boolean) =>
          exists ? clip(integers[place - dx - dy * width]) : undefined;
        const size = (value: number | undefined) =>
          value === undefined ? absents[lane] : 64 * Math.abs(value);
        const left = near(1, 0, x > 0);
        const second = near(2, 0, x > 1);
        const up = near(0, 1, y > 0);
        const corner = near(1, 1, x > 0 && y > 0);
        const right = near(-1, 1, y > 0 && x + 1 < width);
        const local = isMatrix
          ? floor((floor(means[lane] / 4) + 2 * (size(left) + size(second))) / 8)
          : floor((floor(means[lane] / 8) + 2 * (size(left) + size(up)) + size(corner) + size(right)) / 8);
        const expected = isMatrix ? 0 : 2 * ((left ?? 0) + (up ?? 0)) - (corner ?? 0);
        const sum =
          (8 - rowGain - columnGain) * logarithm(floor(mean / 16)) +
          rowGain * logarithm(local) +
          columnGain * logarithm(columnMean);
        let scale = floor((sum * perOctave) / 1024);
        const beyond = Math.max(0, floor(scale / perOctave) - 9);
        scale -= perOctave * beyond;
        const { slots, limit } = tableOf(
          scale,
          Math.max(0, classOf(Math.abs(expected), CLASS_STARTS) - beyond),
        );
        const [symbol, inner] = slots[states[lane]];
        let width2 = 0;
        while (inner * 2 ** width2 < 1024) width2++;
        states[lane] = inner * 2 ** width2 + take(payload, width2) - 1024;
        let value = symbol;
        if (symbol === -64) {
          const isNegative = take(low, 1) === 1;
          let excess = 3;
          while (take(low, 1) === 1) excess++;
          const magnitude = limit + 1 + 2 ** excess - 8 + take(low, excess);
          value = isNegative ? -magnitude : magnitude;
        }
        value = value * 2 ** beyond + take(low, beyond);
        integers[place] = expected < 0 && value !== 0 ? -value : value;
        means[lane] += floor((1024 * Math.abs(clip(integers[place])) - means[lane]) / 16);
      }
      if (lanes === 4) {
        let total = 0;
        for (let lane = 0; lane < 4; lane++) total += Math.abs(clip(integers[(row + lane) * rowLength + j]));
        const rate = [64, 32, 21][row / 4] ?? 16;
        columns[j] += floor(((256 * total - columns[j]) * rate) / 64);
      }
    }
    rowStart = floor((rowStart + floor((means[0] + means[1] + means[2] + means[3]) / 4)) / 2);
  }
  return integers;
}
