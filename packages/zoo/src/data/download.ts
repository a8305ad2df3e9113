// A file from the web, whole or not at all: it grows beside its place as NAME.part, an interrupted download goes on where
// it stopped (HTTP Range), and it takes its name only when its checksum is right.
// Example: 60 of 100 MB are there; the request says "Range: bytes=60000000-", and only the rest is sent.
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, existsSync, renameSync, rmSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { startProgress } from "../runner/progress.js";

export interface Download {
  url: string;
  /** Where the file goes; its folder is made. */
  path: string;
  /** As its publisher states it. */
  checksum: { algorithm: "md5" | "sha256"; hex: string };
}

/**
 * Downloads the file unless it is there.
 *
 * @throws {Error} if the server refuses or the connection breaks (call again to go on), or if the checksum is wrong (what
 *   was downloaded is removed)
 */
export async function download({ url, path, checksum }: Download): Promise<void> {
  if (existsSync(path)) return;
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.part`;
  const start = existsSync(part) ? statSync(part).size : 0;
  await fetchRest(url, part, start);
  const found = await checksumOf(part, checksum.algorithm);
  if (found !== checksum.hex) {
    rmSync(part);
    throw new Error(
      `${url}: expected ${checksum.algorithm} ${checksum.hex}, got ${found}; removed, try again.`,
    );
  }
  renameSync(part, path);
}

async function fetchRest(url: string, part: string, start: number): Promise<void> {
  const response = await fetch(url, start > 0 ? { headers: { Range: `bytes=${start}-` } } : {});
  // Nothing is left to send: all of it is there.
  if (response.status === 416) return;
  if (!response.ok || !response.body) throw new Error(`${url}: the server answered ${response.status}.`);
  // A server that knows no ranges sends the file from its beginning.
  const from = response.status === 206 ? start : 0;
  const total = from + Number(response.headers.get("content-length") ?? 0);
  const progress = startProgress("downloading", Math.max(1, Math.ceil(total / MEGABYTE)));
  let done = from;
  const count = new Transform({
    transform(chunk: Uint8Array, _encoding, next) {
      done += chunk.length;
      progress.update(Math.floor(done / MEGABYTE), `${(done / MEGABYTE).toFixed(0)} MB`);
      next(null, chunk);
    },
  });
  try {
    const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
    await pipeline(body, count, createWriteStream(part, { flags: from > 0 ? "a" : "w" }));
  } catch (error) {
    throw new Error(`${url}: the connection broke off; call again to go on.`, { cause: error });
  } finally {
    progress.finish();
  }
}

const MEGABYTE = 1e6;

async function checksumOf(path: string, algorithm: string): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}
