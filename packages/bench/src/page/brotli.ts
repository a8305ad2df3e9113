/** Brotli at its best, at 9 where that would take minutes, kept on disk. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const OUT = join(import.meta.dirname, "../../out/page/brotli");

const MAX_AT_BEST = 2 ** 22;

export function brotliBytes(bytes: Uint8Array): Uint8Array {
  mkdirSync(OUT, { recursive: true });
  const kept = join(OUT, createHash("sha256").update(bytes).digest("hex").slice(0, 24));
  if (existsSync(kept)) return new Uint8Array(readFileSync(kept));
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: bytes.length > MAX_AT_BEST ? 9 : 11,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  };
  const packed = brotliCompressSync(bytes, { params });
  writeFileSync(`${kept}.new`, packed);
  renameSync(`${kept}.new`, kept);
  return packed;
}
