/**
 * Sound like speech to a network: a buzz of wandering pitch and hiss, through resonances that move, in syllables with pauses.
 *
 *     const samples = madeUpSpeech(16000, 16000, uniform(1)); // a second, about -0.5 to 0.5
 */
import { normal } from "../random.js";

/** Where vowels resonate, and how far that moves; Hz. */
const FORMANTS = [
  { from: 300, to: 850 },
  { from: 900, to: 2300 },
  { from: 2300, to: 3200 },
];
const BANDWIDTH = 120;

/** @param rate samples a second */
export function madeUpSpeech(length: number, rate: number, next: () => number): Float32Array {
  const samples = new Float32Array(length);
  const pitch = 90 + 130 * next();
  const filters = FORMANTS.map(() => ({ before: 0, last: 0 }));
  let [phase, level] = [next(), 0];
  let syllable = newSyllable(next);
  for (let t = 0, left = syllable.seconds * rate; t < length; t++, left--) {
    if (left <= 0) {
      syllable = newSyllable(next);
      left = syllable.seconds * rate;
    }
    level += (syllable.loudness - level) * (50 / rate);
    phase += (pitch * syllable.pitch) / rate;
    const pulse = phase >= 1 ? 1 : 0;
    phase -= pulse;
    const source =
      syllable.voice * pulse * Math.sqrt(rate / pitch) + (1 - syllable.voice) * 0.3 * normal(next);
    let sound = 0;
    filters.forEach((filter, f) => {
      const radius = Math.exp((-Math.PI * BANDWIDTH) / rate);
      const turn = 2 * Math.cos((2 * Math.PI * Math.min(syllable.formants[f], rate / 2.2)) / rate) * radius;
      const value = (1 - radius) * source + turn * filter.last - radius * radius * filter.before;
      filter.before = filter.last;
      filter.last = value;
      sound += value / (f + 1);
    });
    samples[t] = 0.5 * Math.tanh(level * sound) + 0.001 * normal(next);
  }
  return samples;
}

function newSyllable(next: () => number) {
  const isPause = next() < 0.2;
  return {
    seconds: 0.06 + 0.2 * next(),
    loudness: isPause ? 0 : 0.5 + 2 * next(),
    voice: next() < 0.7 ? 0.95 : 0.1,
    pitch: 0.8 + 0.5 * next(),
    formants: FORMANTS.map(({ from, to }) => from + (to - from) * next()),
  };
}
