// What the page and its worker say to each other. Everything that takes time (reading, compressing, decoding, running
// networks) is the worker's, so that the page never freezes; the page only draws.
// Example: `const { bytes } = await clerk.ask("squeeze", { bits: 3, isCalibrated: false })` compresses the opened network to 3 bits a weight.

import type { InputHints } from "bitdiet/run";
import type { Findings } from "./answers.js";
import type { Format } from "./open-model.js";

/** A network that was opened, and how it does as it came. */
export interface Opened {
  name: string;
  format: Format;
  /** The type that most of its numbers have. */
  dtype: string;
  /** All tensors in memory; the files they came in; each tensor of floats as uint8, deflated. */
  tensorBytes: number;
  fileBytes: number;
  uint8DeflatedBytes: number;
  /** Mean bits of a weight in the smallest file whose outputs stay; absent where that is not known. */
  safeBits?: number;
  /** What it can be calibrated on, in words: pictures that have no part in the trial. */
  calibratesOn?: string;
  /** Whether the model's files say which range pixels have. */
  isRangeTold: boolean;
  /** What the network was tried on, or why it was not. */
  trial: Trial | { problem: string };
}

/** Pictures, and what the network made of them as it came. */
export interface Trial {
  pictures: Picture[];
  /** Whether the pictures are ink on nothing, to be drawn in the page's own colour. */
  isInk: boolean;
  before: Findings;
  /** Values inside the network that can be looked at, by name. */
  layers: readonly string[];
}

export interface Picture {
  name: string;
  bitmap: ImageBitmap;
  /** The class that it is known to be. */
  label?: number;
}

/** What becomes of a pixel of 0 to 1 on its way into a network: (pixel - mean) / deviation. */
export type PixelRange = NonNullable<InputHints["range"]>;

/** A network after compression: the file, and how the network does that was decoded from it. */
export interface Squeezed {
  bytes: Uint8Array;
  tensors: SqueezedTensor[];
  /** How long it took to compress, and to decode what was compressed, ms. */
  compressMs: number;
  decodeMs: number;
  now?: Findings;
  /** Where there are no pictures: how far outputs are off on made-up inputs. */
  madeUp?: MadeUp;
}

export interface SqueezedTensor {
  name: string;
  shape: readonly number[];
  isWeight: boolean;
  /** Coded, and as it came. */
  byteLength: number;
  originalBytes: number;
}

export interface MadeUp {
  /** Share of the answers that are what they were, where outputs are answers. */
  agreement?: number;
  /** Root mean square of the errors over the outputs' deviation, elsewhere. */
  error: number;
}

/** Channels of one layer's output for one picture, [height, width, channels]. */
export interface FeatureMaps {
  shape: [number, number, number];
  values: Float32Array;
}

/** How to compress: to how many bits a weight, and whether with a look at what the network does with pictures. */
export interface Setting {
  bits: number;
  isCalibrated: boolean;
}

/** What the network is tried on, from the files that a visitor chose. */
export const isPicture = (file: File): boolean => file.type.startsWith("image/");

/** What may be asked, and what comes back. */
export interface Questions {
  /** A worker opens one network. Without a range, pixels have the one that the model's files tell, else 0 to 1. */
  open(given: { files: File[]; range?: PixelRange; isBundled: boolean }): Opened;
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

/** A worker that can be asked. */
export interface Clerk {
  /**
   * @param onProgress is told what the worker is doing: "encoding 40 %"
   * @throws {Error} with a message for people; named "AbortError" if the worker was ended before it had an answer
   */
  ask<Q extends Question>(
    question: Q,
    about: Asked<Q>,
    onProgress?: (progress: string) => void,
  ): Promise<Answer<Q>>;
  /** Whatever it is doing, it stops. */
  end(): void;
}

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: Error): void;
  onProgress(progress: string): void;
}

export function clerkOf(worker: Worker): Clerk {
  const waiting = new Map<number, Waiting>();
  let last = 0;
  const failAll = (error: Error) => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.addEventListener("message", ({ data }: MessageEvent<Reply>) => {
    const asked = waiting.get(data.id);
    if (!asked) return;
    if ("progress" in data) return asked.onProgress(data.progress);
    waiting.delete(data.id);
    if ("error" in data) asked.reject(new Error(data.error));
    else asked.resolve(data.answer);
  });
  worker.addEventListener("error", ({ message }) =>
    failAll(new Error(message || "the worker could not start")),
  );
  return {
    ask: (question, about, onProgress = () => {}) =>
      new Promise((resolve, reject) => {
        const id = ++last;
        waiting.set(id, { resolve: resolve as Waiting["resolve"], reject, onProgress });
        worker.postMessage({ id, question, about } satisfies Request);
      }),
    end() {
      worker.terminate();
      failAll(new DOMException("another network was opened", "AbortError"));
    },
  };
}
