// The runnable code blocks of a README: ```ts and ```js. Other tags (sh, text, json) are for reading only.
// Each block is one ES module. What it prints is part of the documentation: a line `console.log(x); // 1.5` must print
// "1.5", so the expected output of a block is the list of those trailing comments.
import { readFileSync } from "node:fs";

/**
 * @param {string} path a Markdown file
 * @returns {{ line: number, language: string, code: string, expected: string[] }[]} `line` is where the block's code starts, from 1
 */
export function readmeBlocks(path) {
  const text = readFileSync(path, "utf8");
  return [...text.matchAll(/^```(ts|js)\n([\s\S]*?)^```$/gm)].map((match) => ({
    line: text.slice(0, match.index).split("\n").length + 1,
    language: match[1],
    code: match[2],
    expected: [...match[2].matchAll(/^\s*console\.log\(.*\);?\s*\/\/ (.*)$/gm)].map((comment) =>
      comment[1].trim(),
    ),
  }));
}

/** Names of the packages that blocks import. */
export function importedBy(blocks) {
  const found = blocks.flatMap(({ code }) =>
    [...code.matchAll(/^\s*import .*?"((?:@[^/"]+\/)?[^/"]+)|from "((?:@[^/"]+\/)?[^/"]+)/gm)].map(
      ([, bare, from]) => bare ?? from,
    ),
  );
  return [...new Set(found)];
}
