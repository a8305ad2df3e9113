// safetensors checkpoints on disk, in Node. A file is replaced by rename, so that an interruption leaves either the
// old checkpoint or the new one, never half of one. Example: `await readCheckpoint("resnet20.safetensors")`.
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import {
  readSafetensors,
  type SafetensorEntry,
  type Safetensors,
  SafetensorsError,
  writeSafetensors,
} from "./safetensors.js";

/**
 * Reads a safetensors file.
 *
 * @throws {SafetensorsError} if the file is corrupt; the message names the path.
 */
export async function readCheckpoint(path: string): Promise<Safetensors> {
  const bytes = await readFile(path);
  try {
    return readSafetensors(bytes);
  } catch (error) {
    if (error instanceof SafetensorsError) throw new SafetensorsError(`${path}: ${error.message}`);
    throw error;
  }
}

/** Writes a safetensors file, creating its folder and replacing an older file in one step. */
export async function writeCheckpoint(
  path: string,
  tensors: Record<string, SafetensorEntry>,
  metadata?: Record<string, string>,
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const partial = `${path}.${process.pid}.partial`;
  try {
    // On the disk before it takes the place of the old one.
    await writeFile(partial, writeSafetensors(tensors, metadata), { flush: true });
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}
