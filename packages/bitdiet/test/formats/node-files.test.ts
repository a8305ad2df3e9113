import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FilePiece } from "../../src/formats/files.js";
import { folderFiles, writeFiles } from "../../src/formats/node-files.js";
import { FileExistsError } from "../../src/formats/whole-files.js";
import { ModelFileError } from "../../src/model.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function* pieces(list: [string, string][], fails = false): AsyncGenerator<FilePiece> {
  for (const [file, text] of list) yield { file, bytes: new TextEncoder().encode(text) };
  if (fails) throw new Error("no more");
}

test("pieces of a file come one after another, folders are made, and lengths are told", async () => {
  const written = await writeFiles(
    pieces([
      ["a", "one "],
      ["a", "two"],
      ["b/c", "three"],
    ]),
    folder,
  );
  expect([...written]).toEqual([
    ["a", 7],
    ["b/c", 5],
  ]);
  expect(await readFile(join(folder, "a"), "utf8")).toBe("one two");
  expect(await readFile(join(folder, "b/c"), "utf8")).toBe("three");
});

test("a failure leaves what was there and nothing else", async () => {
  await writeFile(join(folder, "a"), "old");
  await expect(
    writeFiles(
      pieces(
        [
          ["a", "new"],
          ["b", "new"],
        ],
        true,
      ),
      folder,
      { force: true },
    ),
  ).rejects.toThrow("no more");
  expect(await readdir(folder)).toEqual(["a"]);
  expect(await readFile(join(folder, "a"), "utf8")).toBe("old");
});

test("nothing is written over without force", async () => {
  await writeFile(join(folder, "b"), "old");
  await expect(
    writeFiles(
      pieces([
        ["a", "new"],
        ["b", "new"],
      ]),
      folder,
    ),
  ).rejects.toThrow(FileExistsError);
  expect(await readdir(folder)).toEqual(["b"]);
  await writeFiles(pieces([["b", "new"]]), folder, { force: true });
  expect(await readFile(join(folder, "b"), "utf8")).toBe("new");
});

test.each(["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:evil", ""])(
  "a model cannot name %j: neither to write it nor to read it",
  async (name) => {
    const inner = join(folder, "model");
    await expect(writeFiles(pieces([[name, "x"]]), inner)).rejects.toThrow(ModelFileError);
    await expect(folderFiles(inner).read(name)).rejects.toThrow("expected a file inside the model's folder");
    expect(await readdir(folder)).toEqual([]);
  },
);

test("a file that is not there, not a file, or too short says so by name", async () => {
  await writeFile(join(folder, "short"), "abc");
  await symlink("nowhere", join(folder, "broken"));
  const files = folderFiles(folder);
  await expect(files.size("none")).rejects.toThrow("none: cannot be read: ENOENT");
  await expect(files.read("broken")).rejects.toThrow("broken: cannot be read");
  await expect(files.size(".")).rejects.toThrow(".: not a file");
  await expect(files.read("short", 1, 9)).rejects.toThrow("short: expected at least 9 bytes, got 3");
  expect(new TextDecoder().decode(await files.read("short", 1))).toBe("bc");
});
