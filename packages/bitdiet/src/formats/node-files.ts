/**
 * A model's files in a folder on disk (Node only): reading by range, and writing that never leaves half a model behind.
 *
 *     const model = await readSafetensors(folderFiles("models"), "resnet20.safetensors");
 *     await writeFiles(writeSafetensors(model), "out", { force: false });
 */
import { open, stat } from "node:fs/promises";
import { isAbsolute, join, normalize } from "node:path";
import { ModelFileError } from "../model.js";
import type { FilePiece, ModelFiles } from "./files.js";
import { type PathPiece, writeWhole } from "./whole-files.js";

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
 * Writes pieces to files in a folder: all are there whole in the end, or none is.
 *
 * @returns bytes of each file
 * @throws {FileExistsError} before anything is written over, unless force
 */
export async function writeFiles(
  pieces: AsyncIterable<FilePiece>,
  folder: string,
  { force = false } = {},
): Promise<Map<string, number>> {
  const names = new Map<string, string>();
  async function* placed(): AsyncGenerator<PathPiece> {
    for await (const { file, bytes } of pieces) {
      const path = inside(folder, file);
      names.set(path, file);
      yield { path, bytes };
    }
  }
  const written = await writeWhole(placed(), { force });
  return new Map([...written].map(([path, bytes]) => [names.get(path) as string, bytes]));
}
