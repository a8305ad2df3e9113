// The worker: opens a network, compresses it, decodes what it compressed, and asks both what they see.
// Example: { id: 1, question: "squeeze", about: { bits: 3 } } is answered by { id: 1, answer: { bytes, bits, tensors, now } }.

import { compressModel } from "bitdiet";
import { fromBitdiet } from "bitdiet/tfjs";
import type {
  Answer,
  Answers,
  Asked,
  Picture,
  PixelRange,
  Question,
  Reply,
  Request,
  Squeezed,
  Trial,
} from "./messages.js";
import { answersTo, loadNetwork, mapsOf, type Network } from "./network.js";
import { type OpenedModel, openModel, sizesOf } from "./open-model.js";
import { bundledDigits, digitPictures, ownPicture, scaledDigits } from "./pictures.js";

/** What is open: the model, and how it runs on pictures if it does. */
interface Subject {
  opened: OpenedModel;
  before?: Network;
  now?: Network;
  /** All pictures, one after another in the network's input shape. */
  pixels: Float32Array;
}
let subject: Subject | undefined;

type Handlers = {
  [Q in Question]: (
    about: Asked<Q>,
    onProgress: (doing: string, share: number) => void,
  ) => Promise<Answer<Q>>;
};

const handlers: Handlers = {
  async open({ files, range }, onProgress) {
    const isPicture = (file: File) => file.type.startsWith("image/");
    const opened = await openModel(files.filter((file) => !isPicture(file)));
    const sizes = await sizesOf(opened.model);
    const next: Subject = { opened, pixels: new Float32Array() };
    const trial = await tryOut(next, files.filter(isPicture), range, (share) =>
      onProgress("looking at pictures", share),
    );
    subject?.before?.dispose();
    subject?.now?.dispose();
    subject = next;
    return {
      name: opened.name,
      format: opened.format,
      float32Bytes: sizes.total,
      fileBytes: opened.fileBytes,
      uint8DeflatedBytes: sizes.uint8Deflated,
      tensors: opened.model.tensors.map(({ name, shape }, i) => ({
        name,
        shape,
        float32Bytes: sizes.tensors[i],
      })),
      trial,
    };
  },

  async squeeze({ bits, inPassing = false }, onProgress) {
    const current = openSubject();
    const { model, format } = current.opened;
    const start = performance.now();
    const { bytes, report } = await compressModel(
      model,
      { bits },
      { onProgress: (doing, done, total) => onProgress(doing, done / total) },
    );
    const compressed = performance.now();
    const tensors = report.tensors.map(({ byteLength, bits, kept }) => ({
      byteLength,
      bits,
      isWeight: kept === "quantized",
    }));
    const squeezed: Squeezed = { bytes, bits, tensors, compressMs: compressed - start, decodeMs: 0 };
    if (!current.before) return squeezed;
    const network = await loadNetwork(fromBitdiet(bytes), format);
    squeezed.decodeMs = performance.now() - compressed;
    squeezed.now = await answersTo(network, current.pixels, (share) =>
      onProgress("looking at pictures", share),
    );
    const done = inPassing ? network : current.now;
    if (!inPassing) current.now = network;
    done?.dispose();
    return squeezed;
  },

  async look({ picture, layer }) {
    const { before, now, pixels } = openSubject();
    if (!before) throw new Error("This network looks at no pictures.");
    const size = before.input[0] * before.input[1] * before.input[2];
    const one = pixels.subarray(picture * size, (picture + 1) * size);
    return {
      before: await mapsOf(before, layer, one),
      now: now && (await mapsOf(now, layer, one)),
    };
  },
};

function openSubject(): Subject {
  if (!subject) throw new Error("No network is open.");
  return subject;
}

/** How long all pictures together may take, ms; and the fewest that are worth a look. */
const PATIENCE = 1500;
const FEWEST = 8;

/** Runs a network as it came on the visitor's pictures, or on the digits. Why it cannot is an answer, no error. */
async function tryOut(
  next: Subject,
  files: File[],
  range: PixelRange,
  onProgress: (share: number) => void,
): Promise<Trial | { problem: string }> {
  const { opened } = next;
  try {
    const before = await loadNetwork(opened.original(), opened.format);
    next.before = before;
    const size = before.input[0] * before.input[1] * before.input[2];
    let pictures: Picture[];
    if (files.length > 0) {
      const own = await Promise.all(files.map((file) => ownPicture(file, before.input)));
      pictures = own.map(({ picture }) => picture);
      next.pixels = new Float32Array(own.length * size);
      for (const [i, { pixels }] of own.entries()) next.pixels.set(pixels, i * size);
    } else {
      const digits = await bundledDigits();
      const first = scaledDigits(digits, before.input, 1);
      await answersTo(before, first);
      const start = performance.now();
      await answersTo(before, first);
      const count = Math.floor(PATIENCE / (performance.now() - start));
      const tried = Math.max(FEWEST, Math.min(count, digits.labels.length));
      const isAtHome = String(before.input) === "28,28,1";
      next.pixels = scaledDigits(digits, before.input, isAtHome ? digits.labels.length : tried);
      pictures = (await digitPictures(digits)).slice(0, next.pixels.length / size);
    }
    const [black, white] = range;
    next.pixels = next.pixels.map((value) => black + (white - black) * value);
    const answers = await answersTo(before, next.pixels, onProgress);
    // Ten classes on digits: then the labels are theirs, if it reads most of them.
    const labels = pictures.map(({ label }) => label);
    const right = labels.filter((label, i) => label === mostLikely(answers, i)).length;
    const isReader = answers.classes === 10 && right > pictures.length / 2;
    return {
      pictures: isReader ? pictures : pictures.map(({ label: _, ...picture }) => picture),
      isInk: files.length === 0,
      before: answers,
      layers: before.layers,
    };
  } catch (error) {
    next.before?.dispose();
    next.before = undefined;
    return { problem: messageOf(error) };
  }
}

function mostLikely({ classes, probabilities }: Answers, picture: number): number {
  const row = probabilities.subarray(picture * classes, (picture + 1) * classes);
  return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
}

/** For people: what the libraries say of a damaged file names only where it broke. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "CorruptInputError"
    ? `It is damaged or not complete (${error.message}).`
    : error.message;
}

/** One question after another: a network must not be closed while it is looked into. */
let queue: Promise<void> = Promise.resolve();
addEventListener("message", ({ data }: MessageEvent<Request>) => {
  queue = queue.then(async () => {
    const { id, question, about } = data;
    const post = (reply: Reply) => postMessage(reply);
    try {
      const handler = handlers[question] as (...args: unknown[]) => Promise<unknown>;
      post({
        id,
        answer: await handler(about, (doing: string, share: number) =>
          post({ id, progress: `${doing} ${Math.round(100 * share)} %` }),
        ),
      });
    } catch (error) {
      post({ id, error: messageOf(error) });
    }
  });
});
