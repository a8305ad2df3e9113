/**
 * A file that is there whole or not at all: written beside its place, checked, and only then given its name.
 *
 *     await writeWhole("model.bitdiet", pieces, { force: false, check: (path) => decode(path) });
 */
import { rmSync } from "node:fs";
import { link, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { FileExistsError } from "../formats/node-files.js";

/** Files that are not finished: removed however the process ends. */
const unfinished = new Set<string>();

export async function writeWhole(
  path: string,
  pieces: Iterable<Uint8Array>,
  { force, check = async () => {} }: { force: boolean; check?: (path: string) => Promise<unknown> },
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  unfinished.add(temporary);
  try {
    const file = await open(temporary, "w");
    try {
      for (const piece of pieces) await file.writeFile(piece);
      // A name must not point to bytes that are not there yet when the power fails.
      await file.sync();
    } finally {
      await file.close();
    }
    await check(temporary);
    if (force) await rename(temporary, path);
    else await renameToNew(temporary, path);
  } finally {
    await rm(temporary, { force: true });
    unfinished.delete(temporary);
  }
}

/** Renames to a name that is not there yet: of two that do at a time, one fails. @throws {FileExistsError} */
async function renameToNew(from: string, to: string): Promise<void> {
  const refuse = (error: NodeJS.ErrnoException) => {
    throw error.code === "EEXIST" ? new FileExistsError(`${to} exists already`) : error;
  };
  await link(from, to).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST") refuse(error);
    // A file system without links: take the name first, then put the file in its place.
    await open(to, "wx").then((file) => file.close(), refuse);
    await rename(from, to);
  });
}

/** Removes what is not finished when the process is told to end. */
export function removeUnfinishedAtExit(): void {
  const remove = () => {
    for (const path of unfinished) rmSync(path, { force: true });
  };
  const exit = process.exit.bind(process); // hooks of the user's see another one
  process.on("exit", remove);
  for (const [signal, number] of [
    ["SIGHUP", 1],
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ] as const)
    process.on(signal, () => exit(128 + number));
}
