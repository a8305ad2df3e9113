/**
 * Bytes from wherever a model lies, from any offset on: a URL, a file of Node's, a Blob, memory. A download that breaks off is
 * taken up where it broke, by a Range request.
 *
 *     const source = await openSource("https://example.com/model.bitdiet", {});
 *     for await (const piece of source.read(0)) decoder.push(piece);
 */

import { join } from "../file/numbers.js";
import { checkIntegrity, withIntegrity } from "./integrity.js";

/** Where bytes come from. */
export interface ByteSource {
  /** For messages: the URL, the path, "bytes" … */
  name: string;
  /** Pieces from offset `start` to before `end`, to the last byte by default. May be called again, with other offsets. */
  read(start: number, end?: number): AsyncIterable<Uint8Array>;
  /** Bytes in all, as soon as that is known. */
  size(): number | undefined;
}

export interface DownloadOptions {
  /** Goes with every request; its `signal` ends the download. */
  requestInit?: RequestInit;
  /** Instead of the global `fetch`. */
  fetchFunc?: typeof fetch;
  /**
   * Hash of the whole file, as in HTML: "sha256-" (or "sha384-", "sha512-") and base64. Loaders that decode while the file arrives
   * take its last bytes only if it is that of all bytes, which are held in memory until then; a source gives out none before.
   * The checksums in a file find damage; this finds intent.
   */
  integrity?: string;
}

/** A download failed for good; the message has the URL and what the server said. */
export class DownloadError extends Error {
  override name = "DownloadError";
}

/** How often in a row a download may break with next to nothing in between. */
const ATTEMPTS = 4;
/** A download that is waited for so long, and gives fewer bytes than this meanwhile, has broken off. */
const STALL_MS = 30_000;
const MIN_BYTES = 1024;
const FIRST_PAUSE_MS = 200;

/**
 * @param source in Node a string without a scheme is a path, elsewhere it is a URL relative to the page
 * @throws {TypeError} if it is nothing that has bytes, or `integrity` no hash
 */
export async function openSource(
  source: string | URL | Blob | ArrayBuffer | Uint8Array,
  options: DownloadOptions = {},
): Promise<ByteSource> {
  const { integrity } = options;
  if (integrity !== undefined) checkIntegrity(integrity);
  const opened = await plainSource(source, options);
  return integrity === undefined ? opened : checkedSource(opened, integrity);
}

/** All bytes are read and held against the hash before any is given out: what is read twice is the same both times. */
function checkedSource(opened: ByteSource, integrity: string): ByteSource {
  let whole: Promise<Uint8Array> | undefined;
  const load = async () => {
    const pieces: Uint8Array[] = [];
    for await (const piece of withIntegrity(opened.read(0), integrity, opened.name)) pieces.push(piece);
    return joinPieces(pieces);
  };
  return {
    ...opened,
    async *read(start, end) {
      whole ??= load();
      // A failure is not kept: the next attempt may do better.
      whole.catch(() => (whole = undefined));
      yield (await whole).subarray(start, end);
    },
  };
}

async function plainSource(
  source: string | URL | Blob | ArrayBuffer | Uint8Array,
  options: DownloadOptions,
): Promise<ByteSource> {
  if (source instanceof Uint8Array) return memorySource(source);
  if (source instanceof ArrayBuffer) return memorySource(new Uint8Array(source));
  if (typeof Blob !== "undefined" && source instanceof Blob) return blobSource(source);
  if (typeof source === "string" || source instanceof URL) {
    const text = String(source);
    const isNode = typeof process !== "undefined" && process.versions?.node !== undefined;
    const isPath = isNode && !options.fetchFunc && !/^[a-z][a-z0-9+.-]+:/i.test(text);
    if (isPath || (isNode && text.startsWith("file:"))) return fileSource(isPath ? text : new URL(text));
    return httpSource(text, options);
  }
  throw new TypeError(
    `source: expected a URL, a path, a Blob, an ArrayBuffer or a Uint8Array, got ${typeof source}`,
  );
}

/**
 * The bytes from `start` to before `end`, together. Memory grows with what arrives: nobody has vouched for `end`.
 *
 * @throws {DownloadError} if there are not as many
 */
export async function readRange(source: ByteSource, start: number, end: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of source.read(start, end)) {
    pieces.push(piece);
    length += piece.length;
    if (length >= end - start) break;
  }
  if (length < end - start)
    throw new DownloadError(`${source.name}: expected bytes ${start} to ${end}, got ${length} of them`);
  return joinPieces(pieces).subarray(0, end - start);
}

/** The same bytes without what Node's Buffer adds: its `slice` is a view, where that of every Uint8Array is a copy. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Pieces one after another; a single one as it is. */
export function joinPieces(pieces: readonly Uint8Array[]): Uint8Array {
  return pieces.length === 1 ? pieces[0] : join(pieces);
}

function memorySource(given: Uint8Array): ByteSource {
  const bytes = plainBytes(given);
  return {
    name: "bytes",
    size: () => bytes.length,
    async *read(start, end = bytes.length) {
      yield bytes.subarray(start, end);
    },
  };
}

function blobSource(blob: Blob): ByteSource {
  return {
    name: (blob as { name?: string }).name ?? "blob",
    size: () => blob.size,
    async *read(start, end = blob.size) {
      yield* piecesOf(blob.slice(start, end).stream());
    },
  };
}

async function fileSource(path: string | URL): Promise<ByteSource> {
  // Not resolved by bundlers: there is no such module in a browser, where this line is never reached.
  const modules = "node:fs/promises";
  const { open } = (await import(
    /* @vite-ignore */ /* webpackIgnore: true */ modules
  )) as typeof import("node:fs/promises");
  let size: number | undefined;
  const refused = ({ code, message }: NodeJS.ErrnoException): never => {
    throw new DownloadError(`${path}: cannot be read: ${code ?? message}`);
  };
  return {
    name: String(path),
    size: () => size,
    async *read(start, end = Infinity) {
      const file = await open(path).catch(refused);
      try {
        size = (await file.stat().catch(refused)).size;
        for (let at = start; at < Math.min(end, size); ) {
          const piece = new Uint8Array(Math.min(1 << 20, end - at, size - at));
          const { bytesRead } = await file.read(piece, 0, piece.length, at).catch(refused);
          if (bytesRead === 0) return;
          at += bytesRead;
          yield piece.subarray(0, bytesRead);
        }
      } finally {
        await file.close();
      }
    },
  };
}

function httpSource(url: string, options: DownloadOptions): ByteSource {
  const known: Known = {};
  return {
    name: url,
    size: () => known.size,
    async *read(start, end) {
      let at = start;
      const { signal } = options.requestInit ?? {};
      for (let attempt = 1; ; attempt++) {
        const watch = watched(signal);
        const first = at;
        try {
          const { body, skipped } = await request(url, options, known, watch, at, end);
          for await (const bytes of piecesAfter(skipped, piecesOf(body, watch))) {
            at += bytes.length;
            if (at - first >= MIN_BYTES) attempt = 1;
            yield bytes;
            if (end !== undefined && at >= end) return;
          }
          const expected = end ?? known.size;
          if (expected === undefined || at >= expected) return;
          throw new Error(`ended after ${at} of ${expected} bytes`);
        } catch (error) {
          const { name, message } = error as Error;
          const isOver = name === "AbortError" || signal?.aborted;
          if (error instanceof DownloadError || isOver) throw error;
          if (attempt >= ATTEMPTS)
            throw new DownloadError(`${url}: broke off at byte ${at}, ${ATTEMPTS} times: ${message}`);
          await pause(FIRST_PAUSE_MS * 2 ** (attempt - 1), signal);
        } finally {
          watch.end();
        }
      }
    },
  };
}

/** A request that ends when its caller says so, and when too little comes for too long. */
interface Watch {
  signal: AbortSignal;
  /** @throws {Error} if it is waited for longer than `STALL_MS`, all waits since there was progress together, or at an abort */
  within<Result>(waiting: Promise<Result>): Promise<Result>;
  /** Bytes have come. */
  progress(bytes: number): void;
  /** Lets go of the caller's signal. */
  end(): void;
}

function watched(callers: AbortSignal | null | undefined): Watch {
  const controller = new AbortController();
  const { signal } = controller;
  const onAbort = () => controller.abort(callers?.reason);
  if (callers?.aborted) onAbort();
  callers?.addEventListener("abort", onAbort);
  let [waited, received] = [0, 0];
  return {
    signal,
    end: () => callers?.removeEventListener("abort", onAbort),
    progress(bytes) {
      received += bytes;
      if (received >= MIN_BYTES) [waited, received] = [0, 0];
    },
    async within(waiting) {
      const began = performance.now();
      let [timer, give]: [unknown, () => void] = [undefined, () => {}];
      const over = new Promise<never>((_, reject) => {
        give = () => reject(signal.reason);
        const seconds = STALL_MS / 1000;
        const stalled = new Error(
          received === 0
            ? `nothing came for ${seconds} seconds`
            : `no more than ${received} bytes came in ${seconds} seconds`,
        );
        timer = setTimeout(() => controller.abort(stalled), STALL_MS - waited);
        signal.addEventListener("abort", give);
        if (signal.aborted) give();
      });
      try {
        return await Promise.race([waiting, over]);
      } finally {
        clearTimeout(timer as number);
        signal.removeEventListener("abort", give);
        waited += performance.now() - began;
      }
    },
  };
}

/** Waits, no longer than until a signal. */
function pause(milliseconds: number, signal: AbortSignal | null | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal?.addEventListener("abort", end);
  });
}

/** What answers have told of a file so far. */
interface Known {
  size?: number;
  /** Its ETag, or when it was changed. */
  version?: string;
}

/**
 * An answer that has the bytes from `start` on; any other is let go.
 *
 * @returns the body, and how many of its bytes come before `start`: a server that knows no ranges sends everything
 */
async function request(
  url: string,
  { requestInit, fetchFunc = fetch }: DownloadOptions,
  known: Known,
  { signal, within, progress }: Watch,
  start: number,
  end: number | undefined,
): Promise<{ body: ReadableStream<Uint8Array>; skipped: number }> {
  const headers = new Headers(requestInit?.headers);
  if (start > 0 || end !== undefined)
    headers.set("Range", `bytes=${start}-${end === undefined ? "" : end - 1}`);
  const answer = fetchFunc(url, { ...requestInit, headers, signal });
  const response = await within(answer).catch((error) => {
    // What answers after all is not wanted any more.
    void answer.then(({ body }) => body?.cancel()).catch(() => {});
    throw error;
  });
  progress(MIN_BYTES); // an answer is as much as that
  try {
    checkAnswer(url, response);
    learn(url, response, start, known);
    return { body: response.body!, skipped: response.status === 206 ? 0 : start };
  } catch (error) {
    await response.body?.cancel().catch(() => {});
    throw error;
  }
}

/** @throws {Error} if it is worth another attempt */
function checkAnswer(url: string, { status, statusText, ok, body }: Response): void {
  if (status === 408 || status === 429 || status >= 500) throw new Error(`HTTP ${status} ${statusText}`);
  if (!ok) throw new DownloadError(`${url}: HTTP ${status} ${statusText}`);
  if (body === null) throw new DownloadError(`${url}: HTTP ${status} ${statusText}, without a body`);
}

/** Takes version and size from an answer, which has to be of the same file as earlier ones, from `start` on. */
function learn(url: string, { status, headers }: Response, start: number, known: Known): void {
  const tag = headers.get("ETag") ?? headers.get("Last-Modified") ?? undefined;
  if (known.version !== undefined && tag !== known.version)
    throw new DownloadError(`${url}: changed on the server while it was being downloaded`);
  known.version = tag;
  const range = contentRange(headers);
  if (status === 206 && range && range.start !== start)
    throw new DownloadError(`${url}: asked for bytes from ${start}, got some from ${range.start}`);
  // The length of a compressed body says nothing about the bytes in it.
  const length = headers.get("Content-Encoding") ? null : headers.get("Content-Length");
  if (status === 206) known.size ??= range?.size;
  else known.size ??= length ? Number(length) : undefined;
}

function contentRange(headers: Headers): { start: number; size: number } | undefined {
  const range = /^bytes (\d+)-\d*\/(\d+)$/.exec(headers.get("Content-Range") ?? "");
  return range ? { start: Number(range[1]), size: Number(range[2]) } : undefined;
}

/** Pieces without the first bytes, none of them empty. */
async function* piecesAfter(skipped: number, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let skip = skipped;
  for await (const piece of pieces) {
    const bytes = piece.subarray(Math.min(skip, piece.length));
    skip -= piece.length - bytes.length;
    if (bytes.length > 0) yield bytes;
  }
}

/** Pieces of a stream, which is cancelled where nobody wants more of them. @param watch waits for each */
async function* piecesOf(stream: ReadableStream<Uint8Array>, watch?: Watch): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  const next = () => (watch ? watch.within(reader.read()) : reader.read());
  try {
    for (let piece = await next(); !piece.done; piece = await next()) {
      watch?.progress(piece.value.length);
      yield piece.value;
    }
  } finally {
    // Not waited for: who hangs may hang here, too.
    void reader.cancel().catch(() => {});
  }
}
