/** What brotli makes of the model's own files: a .bitdiet file that is larger has not earned its place. */
import { readFile, stat } from "node:fs/promises";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";

/** Files of more bytes are not packed for the comparison: brotli at its best takes 2 s a MB. */
const MAX_BYTES = 64e6;
/** Quick brotli is at most this much larger than brotli at its best. */
const QUICK_EXCESS = 1.5;

/** Bytes of all files by brotli -q 11, where that may be about as small as the compressed model is; else undefined. */
export async function brotliSize(files: Iterable<string>, compressed: number): Promise<number | undefined> {
  const paths = [...files];
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  if (sizes.reduce((sum, size) => sum + size, 0) > MAX_BYTES) return undefined;
  const all = Buffer.concat(await Promise.all(paths.map((path) => readFile(path))));
  const size = async (quality: number) => {
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: quality,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: all.length,
    };
    return (await promisify(brotliCompress)(all, { params })).length;
  };
  return (await size(4)) > QUICK_EXCESS * compressed ? undefined : size(11);
}
