import { execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  FileExistsError,
  type PathPiece,
  refuseUnwritable,
  withTemporaryFolder,
  writeWhole,
} from "../../src/formats/whole-files.js";

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
});
afterEach(() => rm(folder, { recursive: true }));

const pieces = (...files: [string, string][]): PathPiece[] =>
  files.map(([name, text]) => ({ path: at(name), bytes: new TextEncoder().encode(text) }));

describe("a file that is written over", () => {
  test("is read by those who could before, and by nobody else", async () => {
    await writeFile(at("mine"), "old", { mode: 0o600 });
    await writeWhole(pieces(["mine", "new"]), { force: true });
    expect(await readFile(at("mine"), "utf8")).toBe("new");
    expect((await stat(at("mine"))).mode & 0o777).toBe(0o600);
  });

  test("is none behind a link: the link gives way, and a link to nothing is there, too", async () => {
    await writeFile(at("other"), "stays");
    await symlink(at("other"), at("link"));
    await symlink(at("nowhere"), at("dangling"));
    for (const name of ["link", "dangling"])
      await expect(writeWhole(pieces([name, "new"]))).rejects.toThrow(FileExistsError);
    await writeWhole(pieces(["link", "new"]), { force: true });
    expect(await readFile(at("other"), "utf8")).toBe("stays");
    expect(await readdir(folder)).toEqual(["dangling", "link", "other"]);
  });
});

describe("what cannot be finished leaves nothing", () => {
  test("neither files, nor the folders that were made for them, nor a part of several files", async () => {
    await writeFile(at("there"), "old");
    await expect(writeWhole(pieces(["new/deep/a", "1"], ["new/b", "2"], ["there", "3"]))).rejects.toThrow(
      FileExistsError,
    );
    expect(await readdir(folder)).toEqual(["there"]);
  });

  test("nor what was refused after it was written", async () => {
    const refuse = async (path: string) => {
      expect(await readFile(path, "utf8")).toBe("1");
      throw new Error("not what it should be");
    };
    await expect(writeWhole(pieces(["new/a", "1"]), { check: refuse })).rejects.toThrow("not what it should");
    expect(await readdir(folder)).toEqual([]);
  });

  test("a name that is taken in the meantime takes the others back, too", async () => {
    const take = async () => writeFile(at("first"), "somebody else's");
    await expect(writeWhole(pieces(["first", "1"], ["second", "2"]), { check: take })).rejects.toThrow(
      FileExistsError,
    );
    expect(await readdir(folder)).toEqual(["first"]);
    expect(await readFile(at("first"), "utf8")).toBe("somebody else's");
  });

  test.skipIf(process.getuid?.() === 0)("nor a folder that takes nothing: the error names it", async () => {
    await mkdir(at("closed"));
    await chmod(at("closed"), 0o500);
    await expect(writeWhole(pieces(["closed/a", "1"]))).rejects.toThrow(
      /closed: cannot be written to: EACCES/,
    );
  });
});

describe("what is in the way", () => {
  test("is written over by force if it is a file; behind a link, the link is", async () => {
    await writeFile(at("old"), "old");
    await symlink("old", at("link"));
    await writeWhole(pieces(["link", "new"]), { force: true });
    expect(await readFile(at("old"), "utf8")).toBe("old");
    expect(await readFile(at("link"), "utf8")).toBe("new");
  });

  test("is never a folder or a device, not even behind a link", async () => {
    await mkdir(at("folder"));
    await symlink("/dev/zero", at("device"));
    await symlink("nowhere", at("broken"));
    for (const name of ["folder", "device", "broken"])
      for (const force of [true, false])
        await expect(writeWhole(pieces([name, "1"]), { force })).rejects.toThrow(FileExistsError);
    expect(await readdir(folder)).toEqual(["broken", "device", "folder"]);
  });
});

describe("before any work", () => {
  test("what is in the way is told, and a folder that cannot be made", async () => {
    await writeFile(at("file"), "1");
    expect(() => refuseUnwritable(at("file"), false)).toThrow(FileExistsError);
    expect(() => refuseUnwritable(at("file"), true)).not.toThrow();
    expect(() => refuseUnwritable(at("new/folders/a"), false)).not.toThrow();
    expect(() => refuseUnwritable(at("file/folder/a"), false)).toThrow(
      /file.folder.a: cannot be written: ENOTDIR/,
    );
    expect(await readdir(folder)).toEqual(["file"]);
  });

  test.skipIf(process.getuid?.() === 0)("a folder that takes nothing", async () => {
    await mkdir(at("closed"));
    await chmod(at("closed"), 0o500);
    expect(() => refuseUnwritable(at("closed/new/a"), false)).toThrow(/cannot be written: EACCES/);
  });
});

test("names of any length that the system takes can be written", async () => {
  const name = "n".repeat(255);
  await writeWhole(pieces([name, "1"]));
  expect(await readdir(folder)).toEqual([name]);
});

test("what a killed process left is removed by the next that writes there; what another is writing is not", async () => {
  const killed = (body: string) =>
    spawnSync(process.execPath, ["--input-type=module", "-e", body], {
      cwd: folder,
      env: { ...process.env, TMPDIR: at("temporary") },
    }).signal;
  await mkdir(at("temporary"));
  const module = JSON.stringify(join(import.meta.dirname, "../../dist/node.js"));
  const kill = "process.kill(process.pid, 'SIGKILL')";
  const written = `[{ path: "a", bytes: new Uint8Array(9) }]`;
  expect(
    killed(`import { writeWhole } from ${module};
    await writeWhole(${written}, { check: () => ${kill} });`),
  ).toBe("SIGKILL");
  expect(
    killed(`import { withTemporaryFolder } from ${module};
    await withTemporaryFolder(() => ${kill});`),
  ).toBe("SIGKILL");
  for (const place of [folder, at("temporary")])
    expect((await readdir(place)).filter((name) => /^\.bitdiet-.*\.tmp$/.test(name))).toHaveLength(1);
  let during: string[] = [];
  await writeWhole(pieces(["outer", "1"]), {
    check: async () => {
      execFileSync(process.execPath, [
        "--input-type=module",
        "-e",
        `import { writeWhole } from ${module}; await writeWhole([{ path: ${JSON.stringify(at("inner"))}, bytes: new Uint8Array(1) }]);`,
      ]);
      during = await readdir(folder);
    },
  });
  expect(during).toEqual([expect.stringContaining(`-${process.pid}-`), "inner", "temporary"]);
  expect(await readdir(folder)).toEqual(["inner", "outer", "temporary"]);
  expect(killed(`import { withTemporaryFolder } from ${module}; await withTemporaryFolder(() => {});`)).toBe(
    null,
  );
  expect(await readdir(at("temporary"))).toEqual([]);
});

test("a folder for a while is gone afterwards, with all that is in it, and nobody else's to read", async () => {
  const seen = await withTemporaryFolder(async (made) => {
    await writeFile(join(made, "a"), "1");
    return made;
  });
  expect(existsSync(seen)).toBe(false);
  await expect(withTemporaryFolder(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
});
