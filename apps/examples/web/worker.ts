// The worker: opens one network, compresses it, decodes what it compressed, and asks both what they see. Another network is another worker.
// Example: { id: 1, question: "squeeze", about: { bits: 3, isCalibrated: false } } is answered by { id: 1, answer: { bytes, tensors, now } }.

import {
  type CompressReport,
  compressModel,
  type Model,
  openBitdiet,
  openSource,
  type Quantize,
} from "bitdiet";
import type { OutputCheck, Runner } from "bitdiet/run";
import {
  type Answer,
  type Asked,
  isPicture,
  type MadeUp,
  type Question,
  type Reply,
  type Request,
  type Setting,
  type Squeezed,
  type SqueezedTensor,
} from "./messages.js";
import { type OpenedModel, openModel, sizesOf } from "./open-model.js";
import { answersOf, errorsOf, mapsOf, outputsFor } from "./outputs.js";
import { startRunner } from "./runtimes.js";
import { safePoint } from "./safe-point.js";
import { messageOf, type TriedOut, tryOut } from "./try-out.js";

/** What is open: the model, what it is tried on, and how it runs as it came and as it is now. */
interface Subject extends TriedOut {
  opened: OpenedModel;
  now?: Runner;
  /** What is known of the outputs, where the network could be run. */
  check?: OutputCheck;
  /** Chooses integers by what outputs depend on, where that is known. */
  quantize?: Quantize;
  /** The same with a look at pictures, once that was asked for. */
  calibrated?: Quantize;
  /** Who is told how far calibration is: whoever asks at the time. */
  report: Report;
  /** What came out without calibration, by bits: what calibration is to be as small as. */
  plain: Map<number, CompressReport>;
  /** Where searches for other sizes begin: a lambda, and the bits that it led to. */
  known?: { lambda: number; bits: number };
  /** Octaves by which calibration takes another lambda for the same size, where that was seen. */
  octaves: number;
}
type Report = (doing: string, done: number, total: number) => void;
let subject: Subject | undefined;

type OnProgress = (doing: string, share: number) => void;
type Handlers = {
  [Q in Question]: (about: Asked<Q>, onProgress: OnProgress) => Promise<Answer<Q>>;
};

const handlers: Handlers = {
  async open({ files, range, isBundled }, onProgress) {
    const opened = await openModel(files.filter((file) => !isPicture(file)));
    const sizes = await sizesOf(opened.model);
    const triedOut = await tryOut(opened, files.filter(isPicture), range, onProgress);
    const { runner, trial, feeds, others, isRangeTold } = triedOut;
    const own = others?.isOwn ? [...(await others.feeds()), ...feeds] : undefined;
    const safe = isBundled || !runner ? undefined : await safePoint(opened.model, runner, own, onProgress);
    const { bits, lambda, check, quantize } = safe ?? {};
    const known = bits && lambda ? { bits, lambda } : undefined;
    const untouched = { report: () => {}, plain: new Map(), octaves: 0 };
    subject = { opened, check, quantize, known, ...triedOut, ...untouched };
    return {
      name: opened.name,
      format: opened.format,
      dtype: sizes.dtype,
      tensorBytes: sizes.total,
      fileBytes: opened.fileBytes,
      uint8DeflatedBytes: sizes.uint8Deflated,
      safeBits: bits,
      calibratesOn: others?.are,
      isRangeTold,
      trial,
    };
  },

  async squeeze({ inPassing = false, ...setting }, onProgress) {
    const current = openSubject();
    const start = performance.now();
    const { bytes, report } = await compress(current, setting, onProgress);
    const compressed = performance.now();
    const squeezed: Squeezed = {
      bytes,
      tensors: report.tensors.map(summary),
      compressMs: compressed - start,
      decodeMs: 0,
    };
    const { model } = await openBitdiet(await openSource(bytes));
    if ("problem" in current.trial) {
      if (current.check?.areMoved) squeezed.madeUp = await judged(current.check, model);
      return squeezed;
    }
    const network = await startRunner(model);
    squeezed.decodeMs = performance.now() - compressed;
    const outputs = await outputsFor(network, current.feeds, (share) =>
      onProgress("looking at pictures", share),
    );
    squeezed.now = answersOf(outputs) ?? errorsOf(outputs, current.outputs);
    const done = inPassing ? network : current.now;
    if (!inPassing) current.now = network;
    await done?.dispose();
    return squeezed;
  },

  async look({ picture, layer }) {
    const { runner, now, feeds, opened } = openSubject();
    if (!runner || !feeds[picture]) throw new Error("This network looks at no pictures.");
    const maps = (network: Runner) => mapsOf(network, layer, feeds[picture], opened.format === "onnx");
    const before = await maps(runner);
    // Calibration of ONNX folds batch norms: a value in between may be gone.
    return { before, now: now?.layers.includes(layer) ? await maps(now) : undefined };
  },
};

async function compress(
  current: Subject,
  setting: Setting,
  onProgress: OnProgress,
): Promise<{ bytes: Uint8Array; report: CompressReport }> {
  const { model } = current.opened;
  const { bits } = setting;
  current.report = (doing, done, total) => onProgress(doing, done / total);
  if (setting.isCalibrated) return calibrated(current, bits, onProgress);
  const { quantize, report: onTold, known } = current;
  // An octave of lambda is about half a bit.
  const start = known && known.lambda * 4 ** (known.bits - bits);
  const made = await compressModel(model, { bits }, { quantize, start, onProgress: onTold });
  current.plain.set(bits, made.report);
  if (made.report.lambda) current.known = { lambda: made.report.lambda, bits };
  return made;
}

/** Lambdas of an octave that calibration tells apart: a step is about a sixteenth of a bit. */
const STEPS = 8;

/** As many bytes as it takes without calibration, so that what both make of pictures can be compared. */
async function calibrated(current: Subject, bits: number, onProgress: OnProgress) {
  const { model } = current.opened;
  if (!current.plain.has(bits)) await compress(current, { bits, isCalibrated: false }, onProgress);
  const { bytes: maxBytes, lambda = 1 } = current.plain.get(bits)!;
  if (!current.calibrated) {
    const { calibrateOn } = await import("./calibration.js");
    const report: Report = (...told) => current.report(...told);
    current.calibrated = await calibrateOn(await current.others!.feeds(), model, current.check, report);
  }
  // A round is a walk through the whole network: lambdas that are nearly the same share one, and bytes come as near as that allows.
  const rounds = new Map<number, ReturnType<Quantize>>();
  const quantize: Quantize = (lambda) => {
    const step = Math.round(STEPS * Math.log2(lambda));
    const known = rounds.get(step);
    if (known) return known;
    const round = rounds.size + 1;
    current.report = (doing, done, total) => onProgress(`${doing}, round ${round}`, done / total);
    const made = current.calibrated!(2 ** (step / STEPS));
    rounds.set(step, made);
    return made;
  };
  onProgress("rounding with care", 0);
  const start = lambda * 2 ** current.octaves;
  const made = await compressModel(model, { maxBytes }, { quantize, start });
  current.octaves = Math.log2((made.report.lambda ?? start) / lambda);
  return made;
}

/** Bytes of an element by its type's name. */
const elementBytes = (dtype: string): number => (dtype === "bool" ? 1 : Number(/\d+/.exec(dtype) ?? 8) / 8);

function summary({
  name,
  shape,
  dtype,
  byteLength,
  kept,
}: CompressReport["tensors"][number]): SqueezedTensor {
  const elements = shape.reduce((a, b) => a * b, 1);
  const isWeight = kept.startsWith("quantized") && shape.length > 1;
  return { name, shape, isWeight, byteLength, originalBytes: elements * elementBytes(dtype) };
}

async function judged(check: OutputCheck, decoded: Model): Promise<MadeUp> {
  const { value, agreement } = await check.judge(decoded);
  return { agreement, error: Math.sqrt(value) };
}

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
