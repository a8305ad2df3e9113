// ImageNet validation images from a folder, in either layout that people have: a folder a class, named by synset, in whose
// sorted order classes count; or images beside a labels.txt of "NAME CLASS" lines, loose or in a tar archive.
// Example: the shorter side is scaled to 256, the middle 224 x 224 is cut out, and 124 of 255 becomes (0.486 - 0.485) / 0.229.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import sharp from "sharp";
import { DEVIATION, MEAN } from "./cifar10.js";
import { tarEntries } from "./tar.js";

/** An image not yet decoded. */
export interface ImageFile {
  name: string;
  /** 0 .. 999 in the order of sorted synsets. */
  label: number;
  read: () => Uint8Array;
}

const EXTENSIONS = new Set([".jpeg", ".jpg", ".png"]);
const isImage = (name: string): boolean => EXTENSIONS.has(extname(name).toLowerCase());

/**
 * Lists a folder's images, by name.
 *
 * @throws {Error} if the folder has neither layout, or an image has no label
 */
export function imageFolder(folder: string): ImageFile[] {
  const labelFile = join(folder, "labels.txt");
  const files = existsSync(labelFile) ? labelledImages(folder, labelFile) : classFolders(folder);
  if (files.length > 0) return files;
  throw new Error(`${folder}: expected a folder of images a class, or images and a labels.txt.`);
}

function classFolders(folder: string): ImageFile[] {
  const classes = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
  return classes.flatMap((synset, label) =>
    readdirSync(join(folder, synset))
      .filter(isImage)
      .sort()
      .map((name) => ({
        name: `${synset}/${name}`,
        label,
        read: () => readFileSync(join(folder, synset, name)),
      })),
  );
}

function labelledImages(folder: string, labelFile: string): ImageFile[] {
  const lines = readFileSync(labelFile, "utf8").split("\n").filter(Boolean);
  const labels = new Map(lines.map((line) => [line.split(/\s+/)[0], Number(line.split(/\s+/)[1])]));
  const labelOf = (name: string): number => {
    const label = labels.get(name);
    if (label === undefined || !Number.isInteger(label))
      throw new Error(`${labelFile}: no class of ${name}.`);
    return label;
  };
  const names = readdirSync(folder).sort();
  const loose = names.filter(isImage).map((name) => ({
    name,
    label: labelOf(name),
    read: () => readFileSync(join(folder, name)) as Uint8Array,
  }));
  const packed = names
    .filter((name) => extname(name) === ".tar")
    .flatMap((archive) => [...tarEntries(readFileSync(join(folder, archive)))])
    .filter(({ name }) => isImage(name))
    .map(({ name, bytes }) => ({ name, label: labelOf(name), read: () => bytes }));
  return [...loose, ...packed];
}

/**
 * A network's input as torchvision prepares it: shorter side to `side` * 256 / 224, the middle square of `side`, ImageNet's
 * statistics.
 *
 * @returns [side, side, 3] in row-major order
 */
export async function imagenetInput(file: Uint8Array, side = 224): Promise<Float32Array> {
  const { width, height } = await sharp(file).metadata();
  const scale = Math.round((side * 256) / 224) / Math.min(width, height);
  const [scaledWidth, scaledHeight] = [Math.round(width * scale), Math.round(height * scale)];
  const pixels = await sharp(file)
    .toColourspace("srgb")
    .removeAlpha()
    .resize({ width: scaledWidth, height: scaledHeight, fit: "fill", kernel: "linear" })
    .extract({
      left: Math.round((scaledWidth - side) / 2),
      top: Math.round((scaledHeight - side) / 2),
      width: side,
      height: side,
    })
    .raw()
    .toBuffer();
  return Float32Array.from(pixels, (byte, i) => (byte / 255 - MEAN[i % 3]) / DEVIATION[i % 3]);
}

/** Pixels of a picture scaled to a square, whatever its proportions: as Keras prepares inputs. @returns [side, side, 3], 0 .. 255 */
export function squarePixels(file: Uint8Array, side: number): Promise<Uint8Array> {
  const picture = sharp(file).toColourspace("srgb").removeAlpha();
  return picture.resize({ width: side, height: side, fit: "fill", kernel: "linear" }).raw().toBuffer();
}
