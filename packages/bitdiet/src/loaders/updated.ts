/**
 * A model from a file that is at hand and an update of it: of the two only the update is downloaded where the base is in a cache.
 *
 *     fromBitdiet({ base: "v1.bitdiet", update: "v2.bitdelta" }); // looks for v1.bitdiet in the Cache API first, and puts it there
 */
import type { TensorEntry } from "../file/entries.js";
import { CorruptInputError } from "../file/errors.js";
import type { DecodeLimits } from "../file/limits.js";
import { type NextTensor, nextModel, nextTensor } from "../updates/next.js";
import type { ArrivingModel } from "./arrival.js";
import { type DownloadOptions, joinPieces, openSource } from "./source.js";

type Bytes = string | URL | Blob | ArrayBuffer | Uint8Array;

/** A file and what has changed since. `integrity` is the update's hash: it names the base's. */
export interface BitdietUpdate {
  base: Bytes;
  update: Bytes;
}

/** Name of the cache, in browsers and where else there are caches, that keeps bases. */
const CACHE = "bitdiet";

/**
 * @returns when both files are there; tensors are decoded as they are asked for
 * @throws {CorruptInputError} if one of both is damaged, or the update is for another base; {DownloadError} if one cannot be had
 */
export async function fetchUpdated(
  { base, update }: BitdietUpdate,
  { integrity, ...options }: DownloadOptions & DecodeLimits & { onProgress?(fraction: number): void },
): Promise<ArrivingModel> {
  const own = await bytesOf(update, { ...options, integrity });
  const next = (bytes: Uint8Array) => nextModel(bytes, own, options);
  const { metadata, tensors } = await onBase(base, options, next);
  async function* decoded() {
    for (const [i, tensor] of tensors.entries()) {
      yield await nextTensor(tensor);
      options.onProgress?.((i + 1) / tensors.length);
    }
  }
  const header = { metadata: [], tensors: tensors.map(entryOf), length: 0, fileLength: 0 };
  return { name: `${update}`, header, metadata, tensors: decoded(), close: async () => {} };
}

/** The tensor as it will be: decoded in one part. */
function entryOf({ entry, before }: NextTensor): TensorEntry {
  const { refinementPart: _, ...whole } = before?.entry ?? entry;
  return whole;
}

async function bytesOf(source: Bytes, options: DownloadOptions): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of (await openSource(source, options)).read(0)) pieces.push(piece);
  return joinPieces(pieces);
}

/**
 * What is made of the base: of a URL from the cache, else downloaded into it. One that does not fit may be an earlier file of that name:
 * it is downloaded once. A cache that fails is none.
 */
async function onBase<Result>(
  source: Bytes,
  options: DownloadOptions,
  next: (base: Uint8Array) => Promise<Result>,
): Promise<Result> {
  const isUrl = source instanceof URL || typeof source === "string";
  const cache =
    isUrl && typeof caches !== "undefined" ? await caches.open(CACHE).catch(() => undefined) : undefined;
  const found = await cache?.match(source as string | URL);
  if (found) {
    try {
      return await next(new Uint8Array(await found.arrayBuffer()));
    } catch (error) {
      if (!(error instanceof CorruptInputError)) throw error;
    }
  }
  const bytes = await bytesOf(source, options);
  const made = await next(bytes);
  await cache?.put(source as string | URL, new Response(bytes as Uint8Array<ArrayBuffer>)).catch(() => {});
  return made;
}
