/**
 * Sounds with known contents: speech by espeak-ng, and chords of decaying partials.
 *
 *     speech("The quick brown fox", 16_000); // Float32Array, -1 .. 1
 */
import { execFileSync } from "node:child_process";

/** Sentences of common English words: enough different sounds for a voice detector. */
export const SENTENCES = [
  "Please open the window before the meeting starts.",
  "Seven grey ships left the harbour at dawn.",
  "How much does a ticket to the museum cost?",
  "The weather was warm, so we walked along the river.",
  "Call me again when the parcel has arrived.",
  "Yesterday she measured the height of every tree.",
  "Turn left at the second bridge and keep going.",
  "Few people know who wrote that letter.",
];

/** Others, for what must not have heard those. */
export const OTHER_SENTENCES = [
  "The kitchen smells of fresh bread and coffee.",
  "Our train was late, but nobody seemed to mind.",
  "Which of these boxes belongs to your brother?",
  "Write the numbers from nine to one on the board.",
  "A cold wind blew through the empty streets.",
  "She usually answers before the second ring.",
];

/**
 * A sentence as espeak-ng says it, with half a second of faint noise before and after.
 *
 * @param rate samples a second of the result
 * @throws {Error} if espeak-ng is not installed
 */
export function speech(text: string, rate: number, voice = "en"): Float32Array {
  const wave = execFileSync("espeak-ng", ["-v", voice, "--stdout", text], { maxBuffer: 2 ** 26 });
  const view = new DataView(wave.buffer, wave.byteOffset, wave.length);
  const from = view.getUint32(24, true);
  const start = 44;
  const samples = Float32Array.from(
    { length: (wave.length - start) >> 1 },
    (_, i) => view.getInt16(start + 2 * i, true) / 32768,
  );
  const silence = rate >> 1;
  const length = Math.floor((samples.length * rate) / from);
  const sound = new Float32Array(length + 2 * silence);
  for (let i = 0; i < sound.length; i++) sound[i] = 1e-4 * Math.sin(i * i);
  for (let i = 0; i < length; i++) {
    const at = (i * from) / rate;
    const before = Math.floor(at);
    const share = at - before;
    sound[silence + i] += samples[before] * (1 - share) + (samples[before + 1] ?? 0) * share;
  }
  return sound;
}

/**
 * Piano-like chords: partials of each note fall off as 1 / k and decay.
 *
 * @param notes MIDI numbers (69 is 440 Hz) of each chord; the chords share the time evenly
 */
export function chords(notes: readonly (readonly number[])[], rate: number, samples: number): Float32Array {
  const sound = new Float32Array(samples);
  const each = Math.ceil(samples / notes.length);
  for (const [index, chord] of notes.entries()) {
    for (const note of chord) {
      const frequency = 440 * 2 ** ((note - 69) / 12);
      for (let partial = 1; partial <= 6 && partial * frequency < rate / 2; partial++) {
        for (let i = 0; i < each && index * each + i < samples; i++) {
          const time = i / rate;
          sound[index * each + i] +=
            (0.1 / partial) * Math.exp(-3 * time) * Math.sin(2 * Math.PI * partial * frequency * time);
        }
      }
    }
  }
  return sound;
}
