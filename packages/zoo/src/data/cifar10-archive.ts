// CIFAR-10 from its publisher: the official archive (162 MiB), checked, and unpacked to the files that `loadCifar10` reads.
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { writeWhole } from "../report/write.js";
import { type Download, download } from "./download.js";
import { tarEntries } from "./tar.js";

/** As https://www.cs.toronto.edu/~kriz/cifar.html has it. */
const ARCHIVE: Omit<Download, "path"> = {
  url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
  checksum: { algorithm: "md5", hex: "c32a1d4ab5d03f1284b67883e8d87530" },
};

const FILES = [
  "data_batch_1.bin",
  "data_batch_2.bin",
  "data_batch_3.bin",
  "data_batch_4.bin",
  "data_batch_5.bin",
  "test_batch.bin",
];

/**
 * Downloads and unpacks what is missing, then removes the archive.
 *
 * @returns the folder that holds the six files
 */
export async function fetchCifar10(
  folder: string,
  archive: Omit<Download, "path"> = ARCHIVE,
): Promise<string> {
  const inner = join(folder, "cifar-10-batches-bin");
  if (FILES.every((file) => existsSync(join(inner, file)))) return inner;
  const path = join(folder, basename(new URL(archive.url).pathname));
  await download({ ...archive, path });
  const seen = new Set<string>();
  for (const { name, bytes } of tarEntries(gunzipSync(await readFile(path)))) {
    // Only the names that are expected: an archive cannot write elsewhere.
    const file = basename(name);
    if (!FILES.includes(file)) continue;
    writeWhole(join(inner, file), bytes);
    seen.add(file);
  }
  const missing = FILES.filter((file) => !seen.has(file));
  if (missing.length > 0) throw new Error(`${path}: the archive has no ${missing.join(", ")}.`);
  await rm(path);
  return inner;
}
