/**
 * What calibration is measured on: models of the bench's list with inputs apart from those that they are judged on, and the points of
 * their curves.
 */
import { divergence } from "bitdiet/run";
import { mailTokens } from "./real-models/mails.js";
import { pictures } from "./real-models/pictures.js";
import { OTHER_SENTENCES } from "./real-models/sounds.js";
import {
  BERT_INPUTS,
  type Feeds,
  keysOfOcr,
  lines,
  logSpectra,
  music,
  NANODET_PICTURES,
  type Outputs,
  voiceWindows,
  YOLOX_PICTURES,
} from "./real-models/subjects.js";
import { photosWithText } from "./real-models/text-photos.js";

export interface Calibrated {
  /** As in the list of models. */
  name: string;
  /** Single inputs: never those of the test. */
  calibration(): Promise<Feeds[]>;
  /** Points of the curve: see `compressModel`. */
  qualities: readonly number[];
  /** More points, by bytes of the file. */
  sizes?: readonly number[];
  /** Sizes of the weights alone, and of the command's --bits, mean bits a weight. */
  bits?: readonly number[];
  /** How far outputs are off. Default: `divergence`. */
  divergence?(outputs: readonly Outputs[], original: readonly Outputs[]): Record<string, number>;
}

export const calibrated: readonly Calibrated[] = [
  {
    name: "PP-OCRv4 rec",
    calibration: () => lines("x", { from: 0, count: 96, width: 320, batch: 1 }),
    qualities: [60, 70, 80],
    divergence: (outputs, original) => ({
      ...plain(outputs, original),
      logits: errorOfLogits(outputs, original),
    }),
  },
  {
    name: "PP-OCRv4 det",
    calibration: () => photosWithText("x", { from: 0, count: 64, side: 320, keys: keysOfOcr() }),
    qualities: [58, 72, 86],
  },
  {
    name: "YOLOX-nano",
    calibration: () => pictures("images", { ...YOLOX_PICTURES, from: -128, count: 64 }),
    qualities: [58, 48],
    divergence: yoloxError,
  },
  {
    name: "NanoDet-m",
    calibration: () => pictures("input.1", { ...NANODET_PICTURES, from: -128, count: 64 }),
    qualities: [60, 50],
  },
  {
    name: "Silero VAD 16k",
    calibration: async () => voiceWindows(OTHER_SENTENCES),
    qualities: [70, 55],
  },
  {
    name: "openWakeWord embedding",
    calibration: async () => logSpectra("input_1", OTHER_SENTENCES),
    qualities: [65, 52],
  },
  {
    name: "BERT of mails",
    calibration: () => mailTokens({ from: 0, count: 192, isTest: false, names: BERT_INPUTS }),
    qualities: [75, 88, 100],
    sizes: [60_000, 120_000],
    bits: [3, 2, 1, 0.5],
  },
  {
    name: "BERT of mails as a GPT",
    calibration: () => mailTokens({ from: 0, count: 96, isTest: false, names: ["input_ids"] }),
    qualities: [60, 75, 90],
    bits: [4, 3, 2, 1],
  },
  {
    name: "basic-pitch",
    calibration: async () => music("input_2", 12),
    qualities: [60, 45],
  },
  {
    name: "MobileNet V1 0.25",
    calibration: () =>
      pictures("input", {
        from: 300,
        count: 200,
        batch: 20,
        side: 224,
        layout: "NHWC",
        value: (x) => x / 127.5 - 1,
      }),
    qualities: [48, 42],
    sizes: [250_000],
  },
  {
    name: "Tiny Darknet",
    calibration: () =>
      pictures("input", {
        from: 200,
        count: 200,
        batch: 20,
        side: 224,
        layout: "NHWC",
        value: (x) => x / 255,
      }),
    qualities: [50, 40],
  },
];

type Batches = readonly Outputs[];

function plain(outputs: Batches, original: Batches): Record<string, number> {
  return { divergence: divergence(outputs as never, original as never).value };
}

/** Relative squared error of the centred logarithms of probabilities. */
function errorOfLogits(outputs: Batches, original: Batches): number {
  let [error, square] = [0, 0];
  for (const [batch, exact] of original.entries()) {
    const [p, q] = [exact, outputs[batch]].map((each) => [...each.values()][0]);
    const classes = p.shape.at(-1)!;
    for (let from = 0; from < p.data.length; from += classes) {
      const [x, y] = [p, q].map(({ data }) =>
        centredLogs((data as Float32Array).subarray(from, from + classes)),
      );
      for (let c = 0; c < classes; c++) {
        error += (x[c] - y[c]) ** 2;
        square += x[c] ** 2;
      }
    }
  }
  return error / square;
}

function centredLogs(probabilities: Float32Array): Float64Array {
  const logs = Float64Array.from(probabilities, (value) => Math.log(Math.max(value, 1e-37)));
  const mean = logs.reduce((sum, value) => sum + value, 0) / logs.length;
  return logs.map((value) => value - mean);
}

/** Mean of the relative squared errors of boxes, objectness and classes. */
function yoloxError(outputs: Batches, original: Batches): Record<string, number> {
  const part = (from: number, to: number) => {
    let [error, sum, square, count] = [0, 0, 0, 0];
    for (const [batch, exact] of original.entries()) {
      const [p, q] = [exact, outputs[batch]].map((each) => [...each.values()][0]);
      const [width, a, b] = [p.shape.at(-1)!, p.data as Float32Array, q.data as Float32Array];
      for (let i = 0; i < a.length; i++) {
        if (i % width < from || i % width >= to) continue;
        error += (a[i] - b[i]) ** 2;
        sum += a[i];
        square += a[i] ** 2;
        count++;
      }
    }
    return error / (square - sum ** 2 / count);
  };
  const [box, objectness, classes] = [part(0, 4), part(4, 5), part(5, Infinity)];
  return { divergence: (box + objectness + classes) / 3, box, objectness, classes };
}
