// The worker: opens a network, compresses it, decodes what it compressed, and asks both what they see.
// Example: { id: 1, question: "squeeze", about: { bits: 3, isCalibrated: false } } is answered by { id: 1, answer: { bytes, bits, tensors, now } }.

import { type CompressReport, compressModel, type Quantize } from "bitdiet";
import { fromBitdiet } from "bitdiet/tfjs";
import {
  type Answer,
  type Asked,
  isPicture,
  type PixelRange,
  type Question,
  type Reply,
  type Request,
  type Setting,
  type Squeezed,
} from "./messages.js";
import { answersTo, loadNetwork, mapsOf, type Network } from "./network.js";
import { type OpenedModel, openModel, sizesOf } from "./open-model.js";
import { safePoint } from "./safe-point.js";
import { messageOf, type TriedOut, tryOut } from "./try-out.js";

/** What is open: the model, what it is tried on, and how it runs as it came and as it is now. */
interface Subject extends TriedOut {
  opened: OpenedModel;
  range: PixelRange;
  now?: Network;
  /** Chooses integers by what outputs depend on, where the network could be run. */
  quantize?: Quantize;
  /** The same with a look at digits, once that was asked for. */
  calibrated?: Quantize;
}
let subject: Subject | undefined;

type Handlers = {
  [Q in Question]: (
    about: Asked<Q>,
    onProgress: (doing: string, share: number) => void,
  ) => Promise<Answer<Q>>;
};

const handlers: Handlers = {
  async open({ files, range, isBundled }, onProgress) {
    const opened = await openModel(files.filter((file) => !isPicture(file)));
    const sizes = await sizesOf(opened.model);
    const triedOut = await tryOut(opened, files.filter(isPicture), range, (share) =>
      onProgress("looking at pictures", share),
    );
    subject?.before?.dispose();
    subject?.now?.dispose();
    const safe = isBundled ? undefined : await safePoint(opened.model, onProgress);
    subject = { opened, range, quantize: safe?.quantize, ...triedOut };
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
      safeBits: safe?.bits,
      canCalibrate: opened.format === "tfjs-layers" && readsDigits(triedOut),
      trial: triedOut.trial,
    };
  },

  async squeeze({ inPassing = false, ...setting }, onProgress) {
    const current = openSubject();
    const start = performance.now();
    const { bytes, report } = await compress(current, setting, onProgress);
    const compressed = performance.now();
    const tensors = report.tensors.map(({ shape, byteLength, bits, kept }) => ({
      byteLength,
      bits,
      isWeight: kept === "quantized" && shape.length > 1,
    }));
    const squeezed: Squeezed = { bytes, tensors, compressMs: compressed - start, decodeMs: 0 };
    if (!current.before) return squeezed;
    const network = await loadNetwork(fromBitdiet(bytes), current.opened.format);
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

type OnProgress = Parameters<Handlers["squeeze"]>[1];

async function compress(
  current: Subject,
  { bits, isCalibrated }: Setting,
  onProgress: OnProgress,
): Promise<{ bytes: Uint8Array; report: CompressReport }> {
  const { model } = current.opened;
  const report = (doing: string, done: number, total: number) => onProgress(doing, done / total);
  if (!isCalibrated)
    return compressModel(model, { bits }, { quantize: current.quantize, onProgress: report });
  if (!current.calibrated) {
    const { calibrateOnDigits } = await import("./calibration.js");
    current.calibrated = await calibrateOnDigits(model, current.range, report);
  }
  onProgress("rounding with care", 0);
  return compressModel(model, { bits }, { quantize: current.calibrated });
}

/** Whether pictures have labels, which only digits have, and fit without being scaled. */
const readsDigits = ({ trial, before }: TriedOut) =>
  "pictures" in trial && trial.pictures[0].label !== undefined && String(before?.input) === "28,28,1";

function openSubject(): Subject {
  if (!subject) throw new Error("No network is open.");
  return subject;
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
