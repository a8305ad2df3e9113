/**
 * The files a model consists of, read by name and range: from memory or Blobs here, from a folder in node-files.ts.
 *
 *     const files = memoryFiles({ "model.json": file, "group1-shard1of1.bin": bytes });
 *     await files.read("group1-shard1of1.bin", 0, 64);
 */
import { plainBytes } from "../loaders/source.js";
import { ModelFileError } from "../model.js";

export interface ModelFiles {
  /** Bytes of a file. @throws {ModelFileError} if there is none of this name */
  size(name: string): Promise<number>;
  /** The bytes from `start` to before `end`, the whole file by default. @throws {ModelFileError} if there are not as many */
  read(name: string, start?: number, end?: number): Promise<Uint8Array>;
}

/** A piece of a file to write; pieces of one file come one after another. */
export interface FilePiece {
  file: string;
  bytes: Uint8Array;
}

/** Files in memory or behind Blobs, e.g. those dropped on a page. */
export function memoryFiles(files: Record<string, Blob | Uint8Array>): ModelFiles {
  const open = (name: string) => {
    const blob = Object.hasOwn(files, name) ? files[name] : undefined;
    if (blob === undefined) throw new ModelFileError(`${name}: no such file among the given ones`);
    return blob;
  };
  const sizeOf = (blob: Blob | Uint8Array) => (blob instanceof Uint8Array ? blob.length : blob.size);
  return {
    size: async (name) => sizeOf(open(name)),
    read: async (name, start = 0, end = sizeOf(open(name))) => {
      const blob = open(name);
      if (end > sizeOf(blob))
        throw new ModelFileError(`${name}: expected at least ${end} bytes, got ${sizeOf(blob)}`);
      if (blob instanceof Uint8Array) return plainBytes(blob).subarray(start, end);
      return new Uint8Array(await blob.slice(start, end).arrayBuffer());
    },
  };
}

/** @throws {ModelFileError} if bytes are what stands for a model where none was downloaded: a Git LFS pointer, or a page of HTML */
export function checkIsModel(bytes: Uint8Array, name: string): void {
  const start = new TextDecoder().decode(bytes.subarray(0, 64)).trimStart();
  if (start.startsWith("version https://git-lfs."))
    throw new ModelFileError(
      `${name}: this is a Git LFS pointer, not the model: \`git lfs pull\` downloads it`,
    );
  if (/^<(!doctype|html|\?xml)/i.test(start))
    throw new ModelFileError(`${name}: this is a page of HTML, not the model`);
}

/** Parsed JSON of a file. @throws {ModelFileError} if it is none */
export async function readJson(files: ModelFiles, name: string): Promise<unknown> {
  const bytes = await files.read(name);
  checkIsModel(bytes, name);
  return parseJson(bytes, name);
}

/** @throws {ModelFileError} naming what was parsed if it is no JSON in UTF-8 */
export function parseJson(bytes: Uint8Array, name: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new ModelFileError(`${name}: not JSON: ${(error as Error).message}`);
  }
  if (depthOf(bytes) > MAX_DEPTH)
    throw new ModelFileError(`${name}: expected JSON of at most ${MAX_DEPTH} levels, got more`);
  return value;
}

/** Deepest JSON: whatever writes it again has a stack to think of. */
const MAX_DEPTH = 1000;

/** How many brackets are open at once in valid JSON. */
function depthOf(json: Uint8Array): number {
  const [quote, backslash] = [0x22, 0x5c];
  let [depth, deepest, isText] = [0, 0, false];
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (isText && byte === backslash) i++;
    else if (byte === quote) isText = !isText;
    else if (isText) continue;
    else if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return deepest;
}

/** A JSON value that must be an object. */
export function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ModelFileError(`${what}: expected an object, got ${describe(value)}`);
  return value as Record<string, unknown>;
}

/** A JSON value that must be an array. */
export function asArray(value: unknown, what: string): unknown[] {
  if (!Array.isArray(value)) throw new ModelFileError(`${what}: expected an array, got ${describe(value)}`);
  return value;
}

/** A JSON value that must be a string. */
export function asString(value: unknown, what: string): string {
  if (typeof value !== "string")
    throw new ModelFileError(`${what}: expected a string, got ${describe(value)}`);
  return value;
}

/** A JSON value that must be a tensor's shape. */
export function asShape(value: unknown, what: string): number[] {
  const shape = asArray(value, what);
  let size = 1;
  for (const extent of shape) {
    if (!Number.isSafeInteger(extent) || (extent as number) < 0)
      throw new ModelFileError(`${what}: expected whole numbers, got ${describe(extent)}`);
    size *= extent as number;
  }
  if (!Number.isSafeInteger(size * 8)) throw new ModelFileError(`${what}: [${shape}] is too large`);
  return shape as number[];
}

export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
