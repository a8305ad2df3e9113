/**
 * A .bitdiet file decoded while it arrives, part by part in the order of the file. A part that arrives damaged is fetched once more.
 *
 *     const { metadata, tensors } = await fetchBitdiet("model.bitdiet", { onProgress: console.log });
 *     for await (const tensor of tensors) tensor.name; // as they are complete
 */
import { defaultWorker } from "../default-worker.js";
import type { DecodedTensor } from "../file/decode-part.js";
import { CorruptInputError } from "../file/errors.js";
import type { Header } from "../file/header.js";
import { checkLimitOptions, type DecodeLimits } from "../file/limits.js";
import { decodeMetadataPart } from "../file/metadata.js";
import { type CheckedPart, isIntact } from "../file/parts.js";
import { ModelFileError } from "../model.js";
import {
  type Arrival,
  type ArrivalStep,
  type Arrived,
  type ArrivingModel,
  arrivalOf,
  headerError,
} from "./arrival.js";
import type { DecodeRequest } from "./decode-request.js";
import { checkIntegrity, withIntegrity } from "./integrity.js";
import { pause } from "./pause.js";
import { type ByteSource, type DownloadOptions, openSource, readRange } from "./source.js";
import type { BitdietUpdate } from "./updated.js";
import { type DecodeWorker, workerPool } from "./worker-pool.js";

export type { ArrivingModel } from "./arrival.js";
export type { BitdietUpdate } from "./updated.js";
export type { DecodeWorker } from "./worker-pool.js";

/** One file, or an earlier one and its update. */
export type BitdietSource = string | URL | Blob | ArrayBuffer | Uint8Array | BitdietUpdate;

export interface FetchOptions extends DownloadOptions, DecodeLimits {
  /** The share of the file that has arrived, 0 .. 1. */
  onProgress?(fraction: number): void;
  /**
   * Makes a Worker that runs `bitdiet/worker`: tensors are decoded there. Default: in browsers one of this package's own, for files of
   * 2^17 quantized weights or more. Where none starts: on this thread, between the pieces that arrive.
   */
  worker?: () => DecodeWorker;
  /** How many Workers to make, for as long as the model loads; 0: this thread decodes. Default: 2, for files below 2^21 weights 1. */
  workers?: number;
}

/** Quantized weights from which on a Worker of our own is worth its start: cold, a telephone takes a tenth of a second for as many. */
const MIN_WORKER_WEIGHTS = 2 ** 17;
/** And from which on a second one is: each has to build its tables. */
const MIN_FOR_TWO = 2 ** 21;
/** Tensors given to a Worker, and bytes that all become, before the first of them is waited for. */
const AHEAD = 8;
const MAX_AHEAD_BYTES = 2 ** 24;

/**
 * @returns when header and metadata have arrived; the tensors follow
 * @throws {CorruptInputError} if the file is none, damaged at its source, or beyond its limits; {DownloadError} if it cannot be had
 */
export async function fetchBitdiet(
  source: BitdietSource,
  options: FetchOptions = {},
): Promise<ArrivingModel> {
  const { integrity, workers = 0, ...download } = options;
  checkLimitOptions(options);
  if (!(Number.isInteger(workers) && workers >= 0))
    throw new RangeError(`workers: expected a whole number of at least 0, got ${workers}`);
  if (typeof source === "object" && "update" in source) {
    // Loaded by those who need it.
    const { fetchUpdated } = await import("./updated.js");
    return fetchUpdated(source, options);
  }
  if (integrity !== undefined) checkIntegrity(integrity);
  const opened = await openSource(source, download);
  // Damaged where nothing says how long anything is: all of it is asked for again, once.
  const stream = await startArriving(opened, options).catch((error) => {
    if (error instanceof CorruptInputError) return startArriving(opened, options);
    throw error;
  });
  const metadata = new Map<string, Uint8Array>();
  try {
    while (metadata.size < stream.header.metadata.length) {
      for (const arrived of await stream.next())
        if ("coder" in arrived.entry)
          metadata.set(arrived.entry.name, decodeMetadataPart(arrived.entry, arrived.part).bytes);
    }
  } catch (error) {
    await stream.close();
    throw error;
  }
  const { header, close } = stream;
  return { name: opened.name, header, metadata, tensors: decodedTensors(stream, options), close };
}

/**
 * What is made of a model that arrives; where that fails, the download ends.
 *
 * @throws {CorruptInputError} if what arrived cannot be that model
 */
export async function built<Result>(
  { name, close }: ArrivingModel,
  build: () => Promise<Result>,
): Promise<Result> {
  try {
    return await build();
  } catch (error) {
    await close();
    throw error instanceof ModelFileError ? new CorruptInputError(`${name}: ${error.message}`) : error;
  }
}

async function* decodedTensors(stream: Arriving, options: FetchOptions): AsyncGenerator<DecodedTensor> {
  const weights = quantizedWeights(stream.header);
  const { worker = ownWorker(weights), workers = weights < MIN_FOR_TWO ? 1 : 2, onProgress } = options;
  const size = worker ? Math.min(workers, stream.header.tensors.length) : 0;
  const pool = workerPool(worker ?? defaultWorker, size);
  const decoding: { tensor: Promise<DecodedTensor>; bytes: number }[] = [];
  let ahead = 0;
  try {
    while (!stream.isComplete()) {
      for (const arrived of await stream.next()) {
        if ("coder" in arrived.entry || (arrived.entry.refinementPart && !arrived.refinement)) continue;
        const { entry, part, refinement } = arrived as DecodeRequest;
        // What came at once is hashed and handed on part by part.
        await pause();
        const tensor = pool.decode({ entry, part, refinement });
        // Whoever awaits it later hears of its failure.
        tensor.catch(() => {});
        decoding.push({ tensor, bytes: entry.size });
        ahead += entry.size;
        while (decoding.length > size && (decoding.length > size * AHEAD || ahead > MAX_AHEAD_BYTES)) {
          const first = decoding.shift() as (typeof decoding)[0];
          yield await first.tensor;
          ahead -= first.bytes;
        }
      }
    }
    await stream.end();
    for (const { tensor } of decoding.splice(0)) yield await tensor;
    onProgress?.(1);
  } finally {
    pool.close();
    await stream.close();
  }
}

const quantizedWeights = ({ tensors }: Header): number =>
  tensors.reduce((sum, { quantized, size }) => sum + (quantized ? size / 4 : 0), 0);

/** How to make a Worker for a file of so many weights, if there are Workers and it is worth one. */
const ownWorker = (weights: number): (() => DecodeWorker) | undefined =>
  typeof Worker !== "undefined" && weights >= MIN_WORKER_WEIGHTS ? defaultWorker : undefined;

/** A file of which the header is there, and whose parts can be waited for. */
interface Arriving {
  header: Header;
  /** What the next part completes. */
  next(): Promise<Arrived[]>;
  isComplete(): boolean;
  /** @throws {CorruptInputError} if bytes follow the end of the file */
  end(): Promise<void>;
  /** Ends the download. */
  close(): Promise<void>;
}

async function startArriving(source: ByteSource, options: FetchOptions): Promise<Arriving> {
  const arrival = arrivalOf(options);
  const { integrity } = options;
  const all = source.read(0);
  const pieces = (integrity === undefined ? all : withIntegrity(all, integrity, source.name))[
    Symbol.asyncIterator
  ]();
  let received = 0;
  let total: number | undefined;
  /** @returns false at the end */
  const more = async (): Promise<boolean> => {
    // A network that is faster than this thread would keep it busy until all is there.
    await pause();
    const { done, value } = await pieces.next();
    if (done) return false;
    arrival.push(value);
    received += value.length;
    if (total !== undefined) options.onProgress?.(Math.min(1, received / total));
    return true;
  };
  const close = async () => void (await pieces.return?.());
  try {
    const header = await arrivedHeader(arrival, more, source);
    total = header.fileLength;
    const size = source.size();
    if (size !== undefined && size !== total)
      throw new CorruptInputError(
        size < total
          ? `${source.name}: cut: ${size} bytes of a file of ${total}`
          : `${source.name}: ${size - total} bytes follow the end of the file`,
      );
    return {
      header,
      isComplete: arrival.isComplete,
      close,
      async next() {
        for (;;) {
          const step = arrival.next();
          if (step) return step.accept(await intact(step, source));
          if (!(await more())) throw new CorruptInputError(`${source.name}: The file is cut`);
        }
      },
      async end() {
        await more();
        arrival.end();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function arrivedHeader(
  arrival: Arrival,
  more: () => Promise<boolean>,
  { name }: ByteSource,
): Promise<Header> {
  try {
    for (;;) {
      const header = arrival.header();
      if (header) return header;
      if (!(await more())) arrival.end();
    }
  } catch (error) {
    throw headerError(error, name, arrival.peek());
  }
}

/** A part's bytes as they are in the file; asks for them once more if they are not. */
async function intact({ bytes, part, what }: ArrivalStep, source: ByteSource): Promise<CheckedPart> {
  if (isIntact(bytes, part)) return bytes;
  const again = await readRange(source, part.start, part.start + part.length).catch((error) => {
    if (error.name !== "DownloadError") throw error;
    throw new CorruptInputError(`${source.name}: ${what}: cut: ${error.message}`);
  });
  if (isIntact(again, part)) return again;
  throw new CorruptInputError(`${source.name}: ${what}: damaged, and no better when fetched again`);
}
