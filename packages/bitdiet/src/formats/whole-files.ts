/**
 * Files that are there whole or not at all (Node only): written beside their places, and given their names when all are complete.
 *
 *     await writeWhole([{ path: "model.bitdiet", bytes }], { force: false });
 *
 * What is not finished is removed on failure; at the end of a process that called `removeUnfinishedAtExit`; and, where a process
 * was ended without a word, by the next that writes to the same folder.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ModelFileError } from "../model.js";

/** Something is in the way of what would be written. */
export class FileExistsError extends Error {
  override name = "FileExistsError";
}

/** Bytes of a file that follow those before. */
export interface PathPiece {
  path: string;
  bytes: Uint8Array;
}

/** Files and folders that are not finished, in the order in which they were made, and how each is removed. */
const unfinished = new Map<string, () => void>();

/**
 * Writes files, the pieces of each one after another. All of them get their names in one go, the first file last, since others are
 * found by what is in it.
 *
 * @param options.check of each file before it has its name, at the path where it is until then
 * @returns bytes of each file
 * @throws {FileExistsError} before anything is written over, unless force; what is no file is never written over
 */
export async function writeWhole(
  pieces: AsyncIterable<PathPiece> | Iterable<PathPiece>,
  { force = false, check }: { force?: boolean; check?: (temporary: string) => Promise<unknown> } = {},
): Promise<Map<string, number>> {
  const written = new Map<string, number>();
  const temporaries = new Map<string, string>();
  const made: string[] = [];
  let file: FileHandle | undefined;
  const finish = async () => {
    // A name must not point to bytes that are not there yet when the power fails.
    await file?.sync();
    await file?.close();
    file = undefined;
  };
  try {
    let current: string | undefined;
    for await (const { path, bytes } of pieces) {
      if (path !== current) {
        await finish();
        if (written.has(path)) throw new ModelFileError(`${path}: named twice by the model`);
        refuseExisting(path, force);
        made.push(...makeFolders(dirname(path)));
        const temporary = makeTemporary(dirname(path));
        temporaries.set(path, temporary);
        written.set(path, 0);
        file = await open(temporary, "r+");
        current = path;
      }
      await file!.writeFile(bytes).catch((error) => {
        throw Object.assign(new Error(`${path}: cannot be written: ${error.code}`), { code: error.code });
      });
      written.set(path, written.get(path)! + bytes.length);
    }
    await finish();
    for (const temporary of temporaries.values()) await check?.(temporary);
    place([...temporaries].reverse(), force);
    for (const folder of new Set([...written.keys()].map(dirname))) await syncFolder(folder);
    return written;
  } finally {
    await file?.close();
    discard([...made, ...temporaries.values()]);
  }
}

/** A new folder among the system's temporary ones, for as long as it is used. */
export async function withTemporaryFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
  removeForsaken(tmpdir());
  const folder = join(tmpdir(), temporaryName());
  mkdirSync(folder, { mode: 0o700 });
  unfinished.set(folder, () => rmSync(folder, { recursive: true, force: true }));
  try {
    return await use(folder);
  } finally {
    discard([folder]);
  }
}

/** Removes what is not finished when the process is told to end. */
export function removeUnfinishedAtExit(): void {
  const exit = process.exit.bind(process); // hooks of the user's see another one
  process.on("exit", () => discard([...unfinished.keys()]));
  for (const [signal, number] of [
    ["SIGHUP", 1],
    ["SIGINT", 2],
    ["SIGTERM", 15],
  ] as const)
    process.on(signal, () => exit(128 + number));
}

/** @throws {FileExistsError} if something is there, also a link to nothing; with force, if it is no file */
function refuseExisting(path: string, force: boolean): void {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (!there) return;
  if (!force) throw new FileExistsError(`${path} exists already`);
  // Devices and folders, behind links, too.
  if (!there.isFile() && !statSync(path, { throwIfNoEntry: false })?.isFile())
    throw new FileExistsError(`${path} is no file that could be written over`);
}

/**
 * Before any work is done for it: whether a file could be written.
 *
 * @throws {FileExistsError} if something is in its way; {Error} with the system's code if its folder takes nothing
 */
export function refuseUnwritable(path: string, force: boolean): void {
  try {
    refuseExisting(path, force);
    accessSync(nearestFolder(dirname(path)), constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code ? Object.assign(new Error(`${path}: cannot be written: ${code}`), { code }) : error;
  }
}

/** The folder itself, or the one in which it would be made. */
function nearestFolder(folder: string): string {
  const isThere = statSync(folder, { throwIfNoEntry: false }) || dirname(folder) === folder;
  return isThere ? folder : nearestFolder(dirname(folder));
}

/** @returns those that were not there, from the outermost on */
function makeFolders(folder: string): string[] {
  const outermost = mkdirSync(folder, { recursive: true });
  if (outermost === undefined) return [];
  const made = [folder];
  while (made[0] !== outermost && dirname(made[0]) !== made[0]) made.unshift(dirname(made[0]));
  // Those in which nothing is, in the end.
  for (const each of made) unfinished.set(each, () => rmdirSync(each));
  return made;
}

/** An empty file under a name that no other process takes, made before anything can end this one. */
function makeTemporary(folder: string): string {
  const path = join(folder, temporaryName());
  try {
    removeForsaken(folder);
    closeSync(openSync(path, "wx"));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw Object.assign(new Error(`${folder}: cannot be written to: ${code}`), { code });
  }
  unfinished.set(path, () => rmSync(path, { force: true }));
  return path;
}

const temporaryName = () => `.bitdiet-${machine()}-${process.pid}-${randomBytes(4).toString("hex")}.tmp`;

/** What processes of this machine left that were ended in the middle. */
function removeForsaken(folder: string): void {
  for (const name of readdirSync(folder)) {
    const [, where, pid] = /^\.bitdiet-(\w+)-(\d+)-\w+\.tmp$/.exec(name) ?? [];
    if (where === machine() && !isRunning(Number(pid)))
      rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

let known: string | undefined;

/** Where process numbers mean what they mean here: folders may be shared by machines, and by containers of one. */
function machine(): string {
  const read = (how: () => string) => {
    try {
      return how();
    } catch {
      return "";
    }
  };
  known ??= createHash("sha256")
    .update(hostname())
    .update(read(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8")))
    .update(read(() => readlinkSync("/proc/self/ns/pid")))
    .digest("hex")
    .slice(0, 8);
  return known;
}

/** Gives files their names, without a moment in which a signal could be heard. @throws {FileExistsError} unless force */
function place(files: readonly (readonly [path: string, temporary: string])[], force: boolean): void {
  const placed: string[] = [];
  try {
    for (const [path, temporary] of files) {
      if (force) {
        const there = lstatSync(path, { throwIfNoEntry: false });
        // Who may read a file may go on to, and nobody else.
        if (there?.isFile()) chmodSync(temporary, there.mode & 0o777);
        renameSync(temporary, path);
      } else {
        renameToNew(temporary, path);
        placed.push(path);
      }
    }
  } catch (error) {
    for (const path of placed) rmSync(path, { force: true });
    throw error;
  }
}

/** Renames to a name that is not there yet: of two that do at a time, one fails. @throws {FileExistsError} */
function renameToNew(from: string, to: string): void {
  const refusing = (call: () => void) => {
    try {
      call();
    } catch (error) {
      const isThere = (error as NodeJS.ErrnoException).code === "EEXIST";
      throw isThere ? new FileExistsError(`${to} exists already`) : error;
    }
  };
  try {
    refusing(() => linkSync(from, to));
  } catch (error) {
    if (error instanceof FileExistsError) throw error;
    // A file system without links: take the name first, then put the file in its place.
    refusing(() => closeSync(openSync(to, "wx")));
    renameSync(from, to);
  }
}

/** Names are on the disk, where the system can be asked for that. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

/** Removes what has no name of its own, the last made first. */
function discard(paths: readonly string[]): void {
  for (const path of [...paths].reverse()) {
    const remove = unfinished.get(path);
    unfinished.delete(path);
    try {
      remove?.();
    } catch {
      // A folder that is in use by now.
    }
  }
}
