// Tries a network as it came: on the visitor's pictures, or on the bundled digits.
// Example: `(await tryOut(opened, [], [0, 1], () => {})).trial` has 200 digits and what the network makes of them.
import { mostLikely } from "./answers.js";
import type { Picture, PixelRange, Trial } from "./messages.js";
import { answersTo, loadNetwork, type Network } from "./network.js";
import type { OpenedModel } from "./open-model.js";
import { digitPictures, ownPicture, sampleDigits, scaledDigits } from "./pictures.js";

export interface TriedOut {
  trial: Trial | { problem: string };
  /** As it came, if it runs. */
  before?: Network;
  /** All pictures, one after another in the network's input shape. */
  pixels: Float32Array;
}

/** How long all digits together may take, ms; and the fewest that are worth a look. */
const PATIENCE = 1500;
const FEWEST = 8;

/** That a network runs on no pictures is an answer, no error: it can be compressed nevertheless. */
export async function tryOut(
  opened: OpenedModel,
  files: File[],
  [black, white]: PixelRange,
  onProgress: (share: number) => void,
): Promise<TriedOut> {
  let before: Network | undefined;
  try {
    before = await loadNetwork(opened.original(), opened.format);
    const { pictures, pixels } = files.length > 0 ? await own(files, before) : await digits(before);
    for (const [i, value] of pixels.entries()) pixels[i] = black + (white - black) * value;
    const answers = await answersTo(before, pixels, onProgress);
    // It reads digits if it has ten classes and most are right; else their labels are none of its.
    const right = pictures.filter(({ label }, i) => label === mostLikely(answers, i).answer).length;
    const isReader = answers.classes === 10 && right > pictures.length / 2;
    const trial = {
      pictures: isReader ? pictures : pictures.map(({ label: _, ...picture }) => picture),
      isInk: files.length === 0,
      before: answers,
      layers: before.layers,
    };
    return { trial, before, pixels };
  } catch (error) {
    before?.dispose();
    return { trial: { problem: messageOf(error) }, pixels: new Float32Array() };
  }
}

interface Material {
  pictures: Picture[];
  pixels: Float32Array;
}

async function own(files: File[], { input }: Network): Promise<Material> {
  const read = await Promise.all(files.map((file) => ownPicture(file, input)));
  const size = input[0] * input[1] * input[2];
  const pixels = new Float32Array(files.length * size);
  for (const [i, picture] of read.entries()) pixels.set(picture.pixels, i * size);
  return { pictures: read.map(({ picture }) => picture), pixels };
}

/** All of them for a network of their size, of others as many as there is time for. */
async function digits(network: Network): Promise<Material> {
  const all = await sampleDigits();
  let count = all.labels.length;
  if (String(network.input) !== String([all.side, all.side, 1])) {
    const one = scaledDigits(all, network.input, 1);
    await answersTo(network, one); // the first run is slower
    const start = performance.now();
    await answersTo(network, one);
    count = Math.min(count, Math.max(FEWEST, Math.floor(PATIENCE / (performance.now() - start))));
  }
  return {
    pictures: (await digitPictures(all)).slice(0, count),
    pixels: scaledDigits(all, network.input, count),
  };
}

/** For people: what the libraries say of a damaged file names only where it broke. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.name === "CorruptInputError"
    ? `It is damaged or not complete (${error.message}).`
    : error.message;
}
