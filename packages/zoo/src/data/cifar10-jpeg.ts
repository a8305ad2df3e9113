// CIFAR-10 as JPEGs in folders by class (train.tar.gz, test_dev.tar.gz), turned into the official binary layout, so that
// whatever reads the one reads the other. Example: …/frog/0001.jpg becomes a record of label 6 and 3,072 pixels.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import sharp from "sharp";
import { writeWhole } from "../report/write.js";
import { startProgress } from "../runner/progress.js";
import { tarEntries } from "./tar.js";

const CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const PLANE = 32 * 32;
const RECORD = 1 + 3 * PLANE;

/**
 * Writes data_batch_1.bin to data_batch_5.bin and test_batch.bin.
 *
 * @param from folder of the two archives
 * @throws {RangeError} if an image has no class or is not 32 x 32
 */
export async function unpackJpegs(from: string, to: string): Promise<void> {
  const batches = [1, 2, 3, 4, 5].map((n) => `data_batch_${n}.bin`);
  await unpack(join(from, "train.tar.gz"), to, batches);
  await unpack(join(from, "test_dev.tar.gz"), to, ["test_batch.bin"]);
}

async function unpack(archive: string, to: string, files: string[]): Promise<void> {
  const images = [...tarEntries(gunzipSync(await readFile(archive)))].filter(({ name }) =>
    name.endsWith(".jpg"),
  );
  const rows = images.length / files.length;
  const progress = startProgress("unpacking", images.length);
  for (const [f, file] of files.entries()) {
    const records = new Uint8Array(rows * RECORD);
    for (let row = 0; row < rows; row++) {
      const { name, bytes } = images[f * rows + row];
      records.set(await recordOf(name, bytes), row * RECORD);
      progress.update(f * rows + row + 1, file);
    }
    writeWhole(join(to, file), records);
  }
  progress.finish();
}

async function recordOf(name: string, bytes: Uint8Array): Promise<Uint8Array> {
  const label = CLASSES.indexOf(name.split("/").at(-2) ?? "");
  const { data, info } = await sharp(bytes).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  if (label < 0) throw new RangeError(`${name}: expected a folder named after a class of CIFAR-10.`);
  if (info.width !== 32 || info.height !== 32 || info.channels !== 3) {
    throw new RangeError(
      `${name}: expected 32 x 32 pixels of 3 colours, got ${info.width} x ${info.height}.`,
    );
  }
  const record = new Uint8Array(RECORD);
  record[0] = label;
  for (let i = 0; i < data.length; i++) record[1 + (i % 3) * PLANE + Math.floor(i / 3)] = data[i];
  return record;
}
