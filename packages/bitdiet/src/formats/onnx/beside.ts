/**
 * Files beside an ONNX model that have numbers of its tensors: which stretch is whose, and what lies between.
 *
 *     const { files, gaps } = await filesBeside(modelFiles, "", [{ place: 0, location: "weights.bin", offset: 0, length: 4096 }]);
 *     files;  // [{ name: "weights.bin", size: 4096, tensors: [[0, 0]] }]
 */
import { joinPieces } from "../../loaders/source.js";
import { ModelFileError } from "../../model.js";
import { asArray, asObject, asString, type FilePiece, type ModelFiles } from "../files.js";

/** A file beside the model. */
export interface FileBeside {
  name: string;
  size: number;
  /** Places of tensors and their offsets in the file, ascending. */
  tensors: [place: number, offset: number][];
}

export interface Stretch {
  location: string;
  offset: number;
  length: number;
}

/** Zeros between tensors that no metadata has to name: alignment takes a page or so of each. */
const MAX_ZEROS = 2 ** 16;

/**
 * Files and their tensors.
 *
 * @param stretches of the tensors by their places; none overlaps another
 * @param locations of all files, also of those without such a tensor
 * @returns what lies between tensors by file, absent where that is a few zeros
 * @throws {ModelFileError} if a file is not there, or too short
 */
export async function filesBeside(
  files: ModelFiles,
  folder: string,
  stretches: ReadonlyMap<number, Stretch>,
  locations: Iterable<string>,
): Promise<{ files: FileBeside[]; gaps: Map<string, Uint8Array> }> {
  const found: FileBeside[] = [];
  const gaps = new Map<string, Uint8Array>();
  for (const name of new Set(locations)) {
    const size = await files.size(folder + name);
    const mine = [...stretches]
      .filter(([, { location }]) => location === name)
      .sort(([, a], [, b]) => a.offset - b.offset);
    const between = gapsOf(
      size,
      mine.map(([, { offset, length }]) => [offset, length]),
    );
    const pieces = [];
    for (const [start, end] of between) pieces.push(await files.read(folder + name, start, end));
    const bytes = joinPieces(pieces);
    if (bytes.length > allowedZeros(mine.length) || bytes.some((byte) => byte !== 0)) gaps.set(name, bytes);
    found.push({ name, size, tensors: mine.map(([place, { offset }]) => [place, offset]) });
  }
  return { files: found, gaps };
}

const allowedZeros = (tensors: number) => MAX_ZEROS * tensors;

/** Stretches of a file that no tensor has. */
function gapsOf(
  size: number,
  taken: readonly (readonly [offset: number, length: number])[],
): [number, number][] {
  const gaps: [number, number][] = [];
  let at = 0;
  for (const [offset, length] of [...taken, [size, 0] as const]) {
    if (offset < at)
      throw new ModelFileError(`expected tensors one after another, got one at byte ${offset}`);
    if (offset > at) gaps.push([at, offset]);
    at = offset + length;
  }
  if (at !== size) throw new ModelFileError(`a tensor ends at byte ${at} of ${size}`);
  return gaps;
}

/** The files as they were, in pieces. @throws {ModelFileError} if tensors and gaps do not fill them */
export async function* piecesBeside(
  files: readonly FileBeside[],
  gaps: (name: string) => Uint8Array | undefined,
  bytesOf: (place: number) => Promise<Uint8Array>,
): AsyncGenerator<FilePiece> {
  for (const { name, size, tensors } of files) {
    const given = gaps(name);
    let at = 0;
    let used = 0;
    const filled = (until: number): Uint8Array => {
      const length = until - at;
      if (!(length >= 0 && used + length <= (given?.length ?? allowedZeros(tensors.length))))
        throw new ModelFileError(`${name}: nothing for bytes ${at} to ${until}`);
      used += length;
      return given ? given.subarray(used - length, used) : new Uint8Array(length);
    };
    for (const [place, offset] of tensors) {
      yield { file: name, bytes: filled(offset) };
      const bytes = await bytesOf(place);
      yield { file: name, bytes };
      at = offset + bytes.length;
    }
    yield { file: name, bytes: filled(size) };
  }
}

/** What was kept of the files, checked. @throws {ModelFileError} if it is nothing of this kind */
export function asFilesBeside(value: unknown): FileBeside[] {
  return asArray(value ?? [], "onnx: files").map((each) => {
    const { name, size, tensors } = asObject(each, "onnx: files");
    const numbers = [size, ...asArray(tensors, "onnx: tensors").flat()];
    if (!numbers.every((number) => Number.isSafeInteger(number) && (number as number) >= 0))
      throw new ModelFileError(`onnx: ${name}: expected whole numbers`);
    return { name: asString(name, "onnx: file"), size, tensors } as FileBeside;
  });
}
