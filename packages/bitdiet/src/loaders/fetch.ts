/**
 * A .bitdiet file decoded while it arrives, part by part in the order of the file. A part that arrives damaged is fetched once more.
 *
 *     const { metadata, tensors } = await fetchBitdiet("model.bitdiet", { onProgress: console.log });
 *     for await (const tensor of tensors) tensor.name; // as they are complete
 */
import { xxHash32 } from "@bitdiet/stream";
import { type DecodedTensor, decodeMetadata, decodeParts } from "../file/decode-part.js";
import { CorruptInputError } from "../file/errors.js";
import { type Header, headerLength, type Part, readHeader } from "../file/header.js";
import type { DecodeRequest } from "./decode-request.js";
import { type ByteSource, type DownloadOptions, joinPieces, openSource, readRange } from "./source.js";
import { type DecodeWorker, workerPool } from "./worker-pool.js";

export type { DecodeWorker } from "./worker-pool.js";

export type BitdietSource = string | URL | Blob | ArrayBuffer | Uint8Array;

export interface FetchOptions extends DownloadOptions {
  /** The share of the file that has arrived, 0 .. 1. */
  onProgress?(fraction: number): void;
  /** The most bytes to make of one tensor. Default: 64 MiB and 1,024 for each of its coded bytes. */
  maxBytes?: number;
  /**
   * Makes a Worker that runs `bitdiet/worker`: tensors are decoded there. Default, and where Workers do not start: on this thread,
   * between the pieces that arrive.
   */
  worker?: () => DecodeWorker;
  /** How many Workers to make, for as long as the model loads. Default: 2. */
  workers?: number;
}

/** Tensors given to a Worker before the first of them is waited for. */
const AHEAD = 8;

export interface ArrivingModel {
  /** Of the source, for messages. */
  name: string;
  header: Header;
  metadata: Record<string, Uint8Array>;
  /** All tensors in the order of the file, once. Those in two parts come at the end, when the second part is there. */
  tensors: AsyncIterable<DecodedTensor>;
}

/**
 * @returns when header and metadata have arrived; the tensors follow
 * @throws {CorruptInputError} if the file is none, or damaged at its source; {DownloadError} if it cannot be had
 */
export async function fetchBitdiet(
  source: BitdietSource,
  options: FetchOptions = {},
): Promise<ArrivingModel> {
  const { onProgress = () => {}, maxBytes, worker, workers = 2 } = options;
  const opened = await openSource(source, options);
  const stream = arriving(opened, (received) => {
    if (total !== undefined) onProgress(Math.min(1, received / total));
  });
  let total: number | undefined;
  const header = await arrivedHeader(stream, opened);
  total = header.fileLength;
  const size = opened.size();
  if (size !== undefined && size < total)
    throw new CorruptInputError(`${opened.name}: cut: ${size} bytes of a file of ${total}`);

  /** A part's bytes as they are in the file; asks for them once more if they are not. */
  const take = async (part: Part, what: string): Promise<Uint8Array> => {
    const bytes = await stream.take(part.length);
    if (bytes.length === part.length && xxHash32(bytes) === part.hash) return bytes;
    const again = await readRange(opened, part.start, part.start + part.length).catch((error) => {
      if (error.name !== "DownloadError") throw error;
      throw new CorruptInputError(`${opened.name}: ${what}: cut: ${error.message}`);
    });
    if (xxHash32(again) === part.hash) return again;
    throw new CorruptInputError(`${opened.name}: ${what}: damaged, and no better when fetched again`);
  };

  const metadata: Record<string, Uint8Array> = {};
  for (const entry of header.metadata) {
    const bytes = await take(entry.part, `metadata "${entry.name}"`);
    const moved = { ...entry, part: { ...entry.part, start: 0 } };
    metadata[entry.name] = decodeMetadata(bytes, moved, { maxBytes }).bytes;
  }

  async function* requests(): AsyncGenerator<DecodeRequest> {
    const coarse = new Map<string, Uint8Array>();
    for (const entry of header.tensors) {
      const bytes = await take(entry.part, `tensor "${entry.name}"`);
      if (entry.refinementPart) coarse.set(entry.name, bytes);
      else yield { entry, parts: { bytes }, limits: { maxBytes } };
    }
    for (const entry of header.tensors) {
      const bytes = coarse.get(entry.name);
      if (!bytes || !entry.refinementPart) continue;
      const refinement = await take(entry.refinementPart, `tensor "${entry.name}"`);
      coarse.delete(entry.name);
      yield { entry, parts: { bytes, refinement }, limits: { maxBytes } };
    }
  }

  async function* tensors(): AsyncGenerator<DecodedTensor> {
    const size = worker ? Math.min(workers, header.tensors.length) : 0;
    const pool = worker && workerPool(worker, size);
    const decoding: Promise<DecodedTensor>[] = [];
    try {
      for await (const request of requests()) {
        const { entry, parts, limits } = request;
        const tensor = pool ? pool.decode(request) : Promise.resolve(decodeParts(entry, parts, limits));
        // Whoever awaits it later hears of its failure.
        tensor.catch(() => {});
        decoding.push(tensor);
        if (decoding.length > size * AHEAD) yield await (decoding.shift() as Promise<DecodedTensor>);
      }
      yield* decoding;
      onProgress(1);
    } finally {
      pool?.close();
    }
  }
  return { name: opened.name, header, metadata, tensors: tensors() };
}

interface Arriving {
  /** The next bytes: fewer only if the source ends before. */
  take(length: number): Promise<Uint8Array>;
  /** What `take` would give, as far as it is there after at least one more piece. */
  peek(): Promise<Uint8Array>;
}

function arriving(source: ByteSource, onReceived: (bytes: number) => void): Arriving {
  const pieces = source.read(0)[Symbol.asyncIterator]();
  let waiting: Uint8Array[] = [];
  let length = 0;
  let received = 0;
  let isDone = false;
  const more = async () => {
    const { done, value } = await pieces.next();
    isDone = done === true;
    if (isDone) return;
    waiting.push(value);
    length += value.length;
    received += value.length;
    onReceived(received);
  };
  const joined = () => {
    const bytes = joinPieces(waiting);
    waiting = [bytes];
    return bytes;
  };
  return {
    async take(wanted) {
      while (length < wanted && !isDone) await more();
      const bytes = joined();
      const taken = bytes.slice(0, wanted);
      waiting = [bytes.subarray(taken.length)];
      length -= taken.length;
      return taken;
    },
    async peek() {
      await more();
      return joined();
    },
  };
}

async function arrivedHeader(stream: Arriving, { name }: ByteSource): Promise<Header> {
  for (let before = -1; ; ) {
    const bytes = await stream.peek();
    try {
      const length = headerLength(bytes);
      if (length !== undefined && bytes.length >= length) return readHeader(await stream.take(length));
    } catch (error) {
      // What servers send instead of a file that is not there.
      const isPage = /^\s*</.test(new TextDecoder().decode(bytes.subarray(0, 16)));
      throw new CorruptInputError(
        `${name}: ${(error as Error).message}${isPage ? ", but a page of HTML" : ""}`,
      );
    }
    if (bytes.length === before)
      throw new CorruptInputError(`${name}: cut after ${before} bytes, within the header`);
    before = bytes.length;
  }
}
