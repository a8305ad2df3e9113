// What the page and its worker say to each other. Everything that takes time (reading, compressing, decoding, running
// networks) is the worker's, so that the page never freezes; the page only draws.
// Example: `const { bytes } = await ask(worker, "squeeze", { bits: 3, isCalibrated: false })` compresses the opened network to 3 bits a weight.

import type { Answers } from "./answers.js";

/** A network that was opened, and how it does as it came. */
export interface Opened {
  name: string;
  format: "tfjs-layers" | "tfjs-graph";
  /** All tensors in memory; the files they came in; each float32 tensor as uint8, deflated. */
  float32Bytes: number;
  fileBytes: number;
  uint8DeflatedBytes: number;
  tensors: TensorSummary[];
  /** Mean bits of a weight in the smallest file whose outputs stay; absent where that is not known. */
  safeBits?: number;
  /** Whether it can be calibrated: a layers model that reads digits. */
  canCalibrate: boolean;
  /** What the network was tried on, or why it was not. */
  trial: Trial | { problem: string };
}

export interface TensorSummary {
  name: string;
  shape: readonly number[];
  float32Bytes: number;
}

/** Pictures, and what the network made of them as it came. */
export interface Trial {
  pictures: Picture[];
  /** Whether the pictures are ink on nothing, to be drawn in the page's own colour. */
  isInk: boolean;
  before: Answers;
  /** Layers whose outputs are feature maps, by name. */
  layers: string[];
}

export interface Picture {
  name: string;
  bitmap: ImageBitmap;
  /** The class that it is known to be. */
  label?: number;
}

/** What black and white are for a network. */
export type PixelRange = readonly [black: number, white: number];

/** A network after compression: the file, and how the network does that was decoded from it. */
export interface Squeezed {
  bytes: Uint8Array;
  /** In the order of `Opened.tensors`. */
  tensors: { byteLength: number; bits: number; isWeight: boolean }[];
  /** How long it took to compress, and to decode what was compressed, ms. */
  compressMs: number;
  decodeMs: number;
  now?: Answers;
}

/** Channels of one layer's output for one picture, [height, width, channels]. */
export interface FeatureMaps {
  shape: [number, number, number];
  values: Float32Array;
}

/** How to compress: to how many bits a weight, and whether with a look at what the network does with digits. */
export interface Setting {
  bits: number;
  isCalibrated: boolean;
}

/** What the network is tried on, from the files that a visitor chose. */
export const isPicture = (file: File): boolean => file.type.startsWith("image/");

/** What may be asked, and what comes back. */
export interface Questions {
  /** Closes what was open before, unless the files turn out to be none of ours. */
  open(given: { files: File[]; range: PixelRange; isBundled: boolean }): Opened;
  /** To so many bits a weight. What came out is what `look` looks into, unless that is only tried in passing. */
  squeeze(how: Setting & { inPassing?: boolean }): Squeezed;
  look(at: { picture: number; layer: string }): { before: FeatureMaps; now?: FeatureMaps };
}
export type Question = keyof Questions;
export type Asked<Q extends Question> = Parameters<Questions[Q]>[0];
export type Answer<Q extends Question> = ReturnType<Questions[Q]>;

export interface Request<Q extends Question = Question> {
  id: number;
  question: Q;
  about: Asked<Q>;
}
/** Words about what it is doing, then an answer or an error. */
export type Reply =
  | { id: number; progress: string }
  | { id: number; answer: unknown }
  | { id: number; error: string };

let last = 0;

/**
 * @param onProgress is told what the worker is doing: "encoding 40 %"
 * @throws {Error} with a message for people
 */
export function ask<Q extends Question>(
  worker: Worker,
  question: Q,
  about: Asked<Q>,
  onProgress: (progress: string) => void = () => {},
): Promise<Answer<Q>> {
  const id = ++last;
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const { signal } = done;
    worker.addEventListener(
      "message",
      ({ data }: MessageEvent<Reply>) => {
        if (data.id !== id) return;
        if ("progress" in data) return onProgress(data.progress);
        done.abort();
        if ("error" in data) reject(new Error(data.error));
        else resolve(data.answer as Answer<Q>);
      },
      { signal },
    );
    worker.addEventListener(
      "error",
      (event) => {
        done.abort();
        reject(new Error(event.message || "the worker could not start"));
      },
      { signal },
    );
    worker.postMessage({ id, question, about } satisfies Request<Q>);
  });
}
