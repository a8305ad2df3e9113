// Tries a network as it came: on the visitor's pictures, or on the bundled digits.
// Example: `(await tryOut(opened, [], undefined, () => {})).trial` has 200 digits and what the network makes of them.
import {
  type Feeds,
  type PictureInput,
  pictureHints,
  pictureInput,
  type RunInput,
  type Runner,
} from "bitdiet/run";
import { mostLikely } from "./answers.js";
import type { Picture, PixelRange, Trial } from "./messages.js";
import type { OpenedModel } from "./open-model.js";
import { answersOf, errorsOf, type Outputs, outputsFor } from "./outputs.js";
import {
  CALIBRATION_DIGITS,
  calibrationDigits,
  digitPictures,
  ownPicture,
  sampleDigits,
  scaledDigits,
} from "./pictures.js";
import { startRunner } from "./runtimes.js";

export interface TriedOut {
  trial: Trial | { problem: string };
  /** The network as it came, if it runs. */
  runner?: Runner;
  /** A run for each of the trial's pictures, and what came out. */
  feeds: Feeds[];
  outputs: Outputs[];
  /** Pictures that have no part in the trial, for calibration to look at. */
  others?: Others;
  isRangeTold: boolean;
}

export interface Others {
  /** What they are, in words. */
  are: string;
  isOwn: boolean;
  /** A run for each. */
  feeds(): Promise<Feeds[]>;
}

/** How long all pictures together may take, ms: digits, which tell little of another network, and the visitor's own. */
const PATIENCE = { digits: 1500, own: 6000 };
/** Pictures that are worth a look, or half of a calibration. */
const FEWEST = 8;
/** Pictures that are read, of more that were chosen. */
const MOST = 192;
const UNTOLD: PixelRange = { mean: [0], deviation: [1] };

type OnProgress = (doing: string, share: number) => void;

/** That a network runs on no pictures is an answer, no error: it can be compressed nevertheless. */
export async function tryOut(
  { model, preprocessor }: OpenedModel,
  files: File[],
  range: PixelRange | undefined,
  onProgress: OnProgress,
): Promise<TriedOut> {
  let runner: Runner | undefined;
  try {
    runner = await startRunner(model);
    const hints = await pictureHints(model, preprocessor);
    const input = inputOf(runner.inputs, { ...hints, range: range ?? hints.range ?? UNTOLD });
    const isOwn = files.length > 0;
    const found = isOwn ? await own(runner, files, input, onProgress) : await digits(runner, input);
    const { pictures, feeds } = found;
    const outputs = await outputsFor(runner, feeds, (share) => onProgress("looking at pictures", share));
    const { trial, isReader } = trialOf(pictures, outputs);
    const isRangeTold = hints.range !== undefined;
    const whole = { ...trial, isInk: !isOwn, layers: runner.layers };
    const others = isReader ? otherDigits(input) : found.others;
    return { trial: whole, runner, feeds, outputs, others, isRangeTold };
  } catch (error) {
    return { trial: { problem: messageOf(error) }, runner, feeds: [], outputs: [], isRangeTold: false };
  }
}

/** @throws {Error} that tells what the network takes, if it is no pictures */
function inputOf(inputs: readonly RunInput[], hints: Parameters<typeof pictureInput>[1]): PictureInput {
  try {
    return pictureInput(inputs, hints);
  } catch {
    const taken = inputs.map(({ shape }) => `[${shape?.slice(1).map((extent) => extent ?? "any") ?? "any"}]`);
    throw new Error(`It takes ${taken.join(" and ")}, not pictures.`);
  }
}

/** What the network makes of pictures; those without a class that it knows lose their labels. */
function trialOf(pictures: Picture[], outputs: Outputs[]) {
  const before = answersOf(outputs) ?? errorsOf(outputs, outputs);
  // It reads digits if it has ten classes and most are right.
  const right =
    "errors" in before ? 0 : pictures.filter(({ label }, i) => label === mostLikely(before, i).answer).length;
  const isReader = "classes" in before && before.classes === 10 && right > pictures.length / 2;
  const shown = isReader ? pictures : pictures.map(({ label: _, ...picture }) => picture);
  return { trial: { pictures: shown, before }, isReader };
}

interface Material {
  pictures: Picture[];
  feeds: Feeds[];
  others?: Others;
}

/** Every second picture judges, where there are enough: the others are for calibration. */
async function own(
  runner: Runner,
  files: File[],
  input: PictureInput,
  onProgress: OnProgress,
): Promise<Material> {
  const count = Math.min(MOST, files.length);
  const isSplit = count >= FEWEST;
  const pictures: Picture[] = [];
  const [feeds, others]: [Feeds[], Feeds[]] = [[], []];
  for (let i = 0; i < count; i++) {
    onProgress("reading pictures", i / count);
    const read = await ownPicture(files[Math.floor((i * files.length) / count)], input);
    if (isSplit && i % 2 === 1) others.push(input.feeds(read.pixels));
    else {
      pictures.push(read.picture);
      feeds.push(input.feeds(read.pixels));
    }
  }
  const judges = await affordable(runner, feeds[0], feeds.length, PATIENCE.own);
  return {
    pictures: pictures.slice(0, judges),
    feeds: feeds.slice(0, judges),
    others: isSplit
      ? { are: `your other ${others.length} pictures`, isOwn: true, feeds: async () => others }
      : undefined,
  };
}

/** All of them for a network of their size, of others as many as there is time for. */
async function digits(runner: Runner, input: PictureInput): Promise<Material> {
  const all = await sampleDigits();
  const isOfDigits = input.height === all.side && input.width === all.side && input.channels === 1;
  const [first] = scaledDigits(all, input, 1).map(input.feeds);
  const most = all.labels.length;
  const count = isOfDigits ? most : await affordable(runner, first, most, PATIENCE.digits);
  return {
    pictures: (await digitPictures(all)).slice(0, count),
    feeds: scaledDigits(all, input, count).map(input.feeds),
  };
}

/** Fetched when they are wanted. */
function otherDigits(input: PictureInput): Others {
  const feeds = async () => {
    const all = await calibrationDigits();
    return scaledDigits(all, input, all.labels.length).map(input.feeds);
  };
  return { are: `${CALIBRATION_DIGITS} digits`, isOwn: false, feeds };
}

/** How many of so many runs there is time for, a few at least. The first run of all is slower. */
async function affordable(runner: Runner, feeds: Feeds, most: number, patience: number): Promise<number> {
  if (most <= FEWEST) return most;
  await runner.run(feeds);
  const start = performance.now();
  await runner.run(feeds);
  return Math.min(most, Math.max(FEWEST, Math.floor(patience / (performance.now() - start))));
}

/** For people: what the libraries say of a damaged file names only where it broke. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "CorruptInputError"
    ? `It is damaged or not complete (${error.message}).`
    : error.message;
}
