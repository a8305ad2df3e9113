/**
 * A model's files in a folder on disk (Node only): reading by range, and writing that never leaves half a file behind.
 *
 *     const model = await readSafetensors(folderFiles("models"), "resnet20.safetensors");
 *     await writeFiles(writeSafetensors(model), "out", { force: false });
 */
import { existsSync } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, normalize } from "node:path";
import { ModelFileError } from "../model.js";
import type { FilePiece, ModelFiles } from "./files.js";

/** Something is in the way of what would be written. */
export class FileExistsError extends Error {
  override name = "FileExistsError";
}

/** A name out of a model's file is not to be trusted: it must stay inside the model's folder. */
function inside(folder: string, name: string): string {
  const path = normalize(name);
  if (name === "" || isAbsolute(path) || path.split(/[\\/]/).includes("..") || /^[a-z]:/i.test(path))
    throw new ModelFileError(`${JSON.stringify(name)}: expected a file inside the model's folder`);
  return join(folder, path);
}

export function folderFiles(folder: string): ModelFiles {
  const sizeOf = async (name: string) => {
    const stats = await stat(inside(folder, name)).catch((error) => {
      throw new ModelFileError(`${name}: cannot be read: ${error.code ?? error.message}`);
    });
    if (!stats.isFile()) throw new ModelFileError(`${name}: not a file`);
    return stats.size;
  };
  return {
    size: sizeOf,
    read: async (name, start = 0, end) => {
      const stop = end ?? (await sizeOf(name));
      const handle = await open(inside(folder, name)).catch((error) => {
        throw new ModelFileError(`${name}: cannot be read: ${error.code ?? error.message}`);
      });
      try {
        const bytes = new Uint8Array(Math.max(0, stop - start));
        let done = 0;
        while (done < bytes.length) {
          const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
          if (bytesRead === 0)
            throw new ModelFileError(`${name}: expected at least ${stop} bytes, got ${start + done}`);
          done += bytesRead;
        }
        return bytes;
      } finally {
        await handle.close();
      }
    },
  };
}

/**
 * Writes pieces to files in a folder. Each file is written beside its place and renamed when all are complete, so a failure
 * leaves what was there.
 *
 * @returns bytes of each file
 * @throws {FileExistsError} before anything is written over, unless force
 */
export async function writeFiles(
  pieces: AsyncIterable<FilePiece>,
  folder: string,
  { force = false } = {},
): Promise<Map<string, number>> {
  const written = new Map<string, number>();
  const temporary = (file: string) => `${inside(folder, file)}.${process.pid}.tmp`;
  let handle: Awaited<ReturnType<typeof open>> | undefined;
  let current: string | undefined;
  try {
    for await (const { file, bytes } of pieces) {
      if (file !== current) {
        await handle?.close();
        handle = undefined;
        if (written.has(file)) throw new ModelFileError(`${file}: named twice by the model`);
        if (!force && existsSync(inside(folder, file)))
          throw new FileExistsError(`${inside(folder, file)} exists already`);
        await mkdir(dirname(temporary(file)), { recursive: true });
        handle = await open(temporary(file), "w");
        current = file;
        written.set(file, 0);
      }
      await handle!.writeFile(bytes);
      written.set(file, written.get(file)! + bytes.length);
    }
    await handle?.close();
    handle = undefined;
    for (const file of written.keys()) await rename(temporary(file), inside(folder, file));
  } catch (error) {
    await handle?.close();
    for (const file of written.keys()) await rm(temporary(file), { force: true });
    throw error;
  }
  return written;
}
