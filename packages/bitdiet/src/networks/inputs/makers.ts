/**
 * Where numbers of made-up inputs come from. There are two kinds, which have little in common: what was chosen by the one is judged by
 * the other.
 *
 *     natural.picture({ height: 224, width: 224, channels: 3 }, next); // a cloudy one
 *     drawn.picture({ height: 224, width: 224, channels: 3 }, next);   // boxes on a plain ground
 */
import { normal } from "../random.js";
import { madeUpPicture, type PictureSize } from "./pictures.js";
import { madeUpSpeech } from "./sound.js";

export interface Makers {
  /** Values of 0 to 1, row by row, channels innermost. */
  picture(size: PictureSize, next: () => number): Float32Array;
  /** Samples of -1 to 1, so many a second. */
  sound(length: number, rate: number, next: () => number): Float32Array;
  /** Which of so many words. */
  word(vocabulary: number, next: () => number): number;
  /** A number of mean 0 and variance 1. */
  number(next: () => number): number;
}

export const natural: Makers = {
  picture: madeUpPicture,
  sound: madeUpSpeech,
  word: (vocabulary, next) => Math.floor(next() * vocabulary),
  number: normal,
};

/** Edges instead of clouds, tones instead of voices, frequent words, numbers with an end. */
export const drawn: Makers = {
  picture: madeUpDrawing,
  sound: madeUpTones,
  word: (vocabulary, next) => Math.floor(next() ** 3 * vocabulary),
  number: (next) => Math.sqrt(12) * (next() - 0.5),
};

/**
 * Pictures of both kinds by turns, the rest natural: what reads texts sees edges, as in drawings, and finds nothing in clouds.
 *
 *     const { picture } = byTurns(); // a cloudy one, one of boxes, a cloudy one …
 */
export function byTurns(): Makers {
  let turn = 0;
  return { ...natural, picture: (size, next) => (turn++ % 2 ? drawn : natural).picture(size, next) };
}

const MAX_BOXES = 24;

/** Boxes of plain colours, some of them striped, one over the other on a plain ground. */
function madeUpDrawing({ height, width, channels }: PictureSize, next: () => number): Float32Array {
  const pixels = new Float32Array(height * width * channels);
  const colour = () => Array.from({ length: channels }, (_, c) => (c === 3 ? 1 : next()));
  const paint = (top: number, left: number, bottom: number, right: number) => {
    const [first, second] = [colour(), colour()];
    const stripe = next() < 0.3 ? 2 + Math.floor(next() * 12) : Infinity;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++)
        pixels.set(Math.floor((x + y) / stripe) % 2 ? second : first, (y * width + x) * channels);
    }
  };
  paint(0, 0, height, width);
  for (let boxes = Math.ceil(next() * MAX_BOXES); boxes > 0; boxes--) {
    const [top, left] = [Math.floor(next() * height), Math.floor(next() * width)];
    paint(top, left, top + Math.ceil(next() * (height - top)), left + Math.ceil(next() * (width - left)));
  }
  return pixels;
}

const [LEAST_TONES, MOST_TONES] = [1, 6];
const PARTIALS = 8;

/** Chords of decaying tones, struck again and again. */
function madeUpTones(length: number, rate: number, next: () => number): Float32Array {
  const samples = new Float32Array(length);
  for (let at = 0; at < length; ) {
    const end = Math.min(length, at + Math.ceil(rate * (0.1 + 0.5 * next())));
    const tones = LEAST_TONES + Math.floor(next() * (MOST_TONES - LEAST_TONES));
    for (let tone = 0; tone < tones; tone++) {
      const [frequency, loudness, decay] = [80 * 2 ** (5 * next()), 0.2 * next(), 1 + 8 * next()];
      for (let k = 1; k <= PARTIALS && k * frequency < rate / 2; k++) {
        const turn = (2 * Math.PI * k * frequency) / rate;
        for (let t = 0; at + t < end; t++)
          samples[at + t] += (loudness / k) * Math.exp((-decay * k * t) / rate) * Math.sin(turn * t);
      }
    }
    at = end;
  }
  return samples.map((sample) => Math.max(-1, Math.min(1, sample)));
}
