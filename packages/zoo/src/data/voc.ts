// Pascal VOC (Everingham et al. 2010) in its official layout, a folder or a tar archive of it: VOCdevkit/VOC2007/ with
// Annotations/ID.xml, JPEGImages/ID.jpg and ImageSets/Main/SET.txt, a line an image. Sets of several years are joined, as
// "07+12" is. Example: a dog from the first pixel to the last of 500 x 375 is { name: "dog", box: [1, 1, 500, 375] }.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import { childrenOf, type Element, parseXml } from "./annotation-xml.js";
import { tarEntries } from "./tar.js";

/** What somebody has marked in a picture. */
export interface VocObject {
  name: string;
  /** Least and largest x and y: xmin, ymin, xmax, ymax in pixels counted from 1, the last one inside. */
  box: [number, number, number, number];
  /** Counts neither for nor against a detector. */
  isDifficult: boolean;
}

export interface VocAnnotation {
  width: number;
  height: number;
  objects: VocObject[];
}

export interface VocImage extends VocAnnotation {
  /** Year and name: "VOC2007/000001". */
  id: string;
  /** The JPEG file. */
  read: () => Uint8Array;
}

/** The classes of the challenge. */
export const VOC_CLASSES = (
  "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep sofa train " +
  "tvmonitor"
).split(" ");

/** Files by paths with slashes, from a folder or an archive. */
interface Tree {
  folders: string[];
  /** @returns undefined if there is no such file */
  read: (path: string) => Uint8Array | undefined;
}

/**
 * Images of a set, in its order.
 *
 * @param path of a VOCdevkit, of one year's folder in it, or of a tar archive of either
 * @param set "train", "val", "trainval", "test"
 * @throws {Error} if no year has that set; if an image or an annotation is missing or is not of the format, naming it
 */
export function vocImages(path: string, set: string): VocImage[] {
  const tree = statSync(path).isDirectory() ? folderTree(path) : archiveTree(path);
  const lists = tree.folders.flatMap((folder) => {
    const list = tree.read(posix.join(folder, "ImageSets/Main", `${set}.txt`));
    return list === undefined ? [] : [{ folder, names: namesOf(list) }];
  });
  if (lists.length === 0)
    throw new Error(
      `${path}: expected VOC2007/ImageSets/Main/${set}.txt, or that of another year; there is none.`,
    );
  return lists.flatMap(({ folder, names }) => names.map((name) => imageOf(tree, path, folder, name)));
}

/** Names of all classes that are marked in the images, sorted: as labels count, from 1. */
export const classesOf = (images: readonly VocAnnotation[]): string[] =>
  [...new Set(images.flatMap(({ objects }) => objects.map(({ name }) => name)))].sort();

/** An annotation file. @throws {SyntaxError} saying what it lacks */
export function parseAnnotation(xml: string): VocAnnotation {
  const root = parseXml(xml);
  if (root.name !== "annotation") throw new SyntaxError(`expected <annotation>, got <${root.name}>`);
  const size = only(root, "size");
  const [width, height] = ["width", "height"].map((side) => numberIn(size, side));
  if (!(width >= 1 && height >= 1))
    throw new SyntaxError(`expected a size of 1 x 1 or more, got ${width} x ${height}`);
  return { width, height, objects: childrenOf(root, "object").map(objectOf) };
}

function objectOf(object: Element): VocObject {
  // People's heads and hands have boxes as well, inside of <part>: only the object's own counts.
  const name = only(object, "name").text;
  if (name === "") throw new SyntaxError("expected a name in <object>");
  const corners = only(object, "bndbox");
  const box = ["xmin", "ymin", "xmax", "ymax"].map((side) => numberIn(corners, side)) as VocObject["box"];
  if (!(box[0] <= box[2] && box[1] <= box[3]))
    throw new SyntaxError(`expected a box with an inside, got ${box} of ${name}`);
  const [difficult] = childrenOf(object, "difficult");
  return { name, box, isDifficult: difficult !== undefined && difficult.text === "1" };
}

function only(element: Element, name: string): Element {
  const children = childrenOf(element, name);
  if (children.length !== 1)
    throw new SyntaxError(`expected one <${name}> in <${element.name}>, got ${children.length}`);
  return children[0];
}

function numberIn(element: Element, name: string): number {
  const { text } = only(element, name);
  const value = Number(text);
  if (text === "" || !Number.isFinite(value))
    throw new SyntaxError(`expected a number in <${name}>, got "${text}"`);
  return value;
}

function imageOf(tree: Tree, path: string, folder: string, name: string): VocImage {
  const fileOf = (file: string) => {
    const bytes = tree.read(posix.join(folder, file));
    if (bytes === undefined) throw new Error(`${path}: ${posix.join(folder, file)} is missing.`);
    return bytes;
  };
  const file = `Annotations/${name}.xml`;
  const id = posix.join(folder, name);
  const xml = new TextDecoder().decode(fileOf(file));
  try {
    return { id, ...parseAnnotation(xml), read: () => fileOf(`JPEGImages/${name}.jpg`) };
  } catch (error) {
    throw new Error(`${path}: ${posix.join(folder, file)}: ${(error as Error).message}`, { cause: error });
  }
}

/** First words of the lines: class files have a second one, 1, 0 or -1. */
const namesOf = (list: Uint8Array): string[] =>
  new TextDecoder()
    .decode(list)
    .split("\n")
    .map((line) => line.trim().split(/\s+/)[0])
    .filter((name) => name !== "");

function folderTree(path: string): Tree {
  const inside = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = inside.map(({ name }) => name).sort();
  const read = (file: string) => {
    try {
      return readFileSync(join(path, file));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  };
  return { folders: names.includes("Annotations") ? ["."] : names, read };
}

function archiveTree(path: string): Tree {
  const files = new Map(
    [...tarEntries(readFileSync(path))].map(({ name, bytes }) => [posix.normalize(name), bytes]),
  );
  const folders = [...files.keys()].flatMap((name) => name.match(/^(?:(.*)\/)?Annotations\//)?.[1] ?? []);
  return { folders: [...new Set(folders)].sort(), read: (file) => files.get(file) };
}
