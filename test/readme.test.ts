import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readmeBlocks } from "../scripts/readme-blocks.mjs";

const root = join(import.meta.dirname, "..");
const readmes = [
  root,
  ...["packages", "apps"].flatMap((kind) =>
    readdirSync(join(root, kind)).map((name) => join(root, kind, name)),
  ),
]
  .map((folder) => join(folder, "README.md"))
  .filter((path) => existsSync(path));

// Inside the root's node_modules, so that a block resolves the packages by name as a user's file would.
const scratch = join(root, "node_modules", ".readme-blocks");
beforeAll(() => mkdirSync(scratch, { recursive: true }));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const runnable = readmes.filter((path) => readmeBlocks(path).length > 0);
describe.each(runnable.map((path) => [relative(root, path), path]))("%s", (name, path) => {
  for (const { line, code, expected } of readmeBlocks(path)) {
    test(`the block at line ${line} runs and prints what it says`, async () => {
      const file = join(scratch, `${name.replaceAll(/\W/g, "-")}-${line}.mjs`);
      writeFileSync(file, (await transform(code, { loader: "ts", format: "esm" })).code);
      const { stdout } = await promisify(execFile)(process.execPath, [file], {
        cwd: scratch,
        timeout: 60_000,
      });
      const printed = stdout.split("\n").filter((text) => text !== "");
      expect(printed.slice(0, expected.length)).toEqual(expected);
    });
  }
});

/** Whether the package that this README belongs to is never published. */
function isPrivate(readme: string): boolean {
  return JSON.parse(readFileSync(join(dirname(readme), "package.json"), "utf8")).private === true;
}

const headings = [
  "What is this",
  "When should I use it, and when not",
  "Install",
  "Use",
  "API",
  "Measured",
  "Reference",
];
test.each(
  readmes
    .filter((path) => relative(root, path).startsWith("packages"))
    .filter((path) => !isPrivate(path))
    .map((path) => [relative(root, path), path]),
)("%s has the headings every package has", (_, path) => {
  const blocks = readmeBlocks(path);
  expect(blocks.length).toBeGreaterThan(0);
  const found = [...readFileSync(path, "utf8").matchAll(/^## (.*)$/gm)].map((match) => match[1]);
  expect(found).toEqual(headings);
});

test("every published package has a README", () => {
  const published = readdirSync(join(root, "packages"))
    .map((name) => join(root, "packages", name))
    .filter((folder) => !isPrivate(join(folder, "README.md")));
  expect(published.filter((folder) => !existsSync(join(folder, "README.md")))).toEqual([]);
});
