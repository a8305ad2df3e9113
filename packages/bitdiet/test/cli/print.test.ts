import { expect, test } from "vitest";
import { formatTable, printable, printableLines } from "../../src/cli/print.js";

test.each([
  ["conv1.weight/ä漢🙂", "conv1.weight/ä漢🙂"],
  ["\x1b[2J\x1b]0;title\x07", "\\u001b[2J\\u001b]0;title\\u0007"],
  ["a\nSHA-256 0", "a\\u000aSHA-256 0"],
  ["\u202egpj\u2066", "\\u202egpj\\u2066"],
  ["\x9b1m\u2028\r\t", "\\u009b1m\\u2028\\u000d\\u0009"],
  ["\ud800", "\\ud800"],
  ["\u{e0041}", "\\udb40\\udc41"],
])("%j is printed as %j", (text, printed) => {
  expect(printable(text)).toBe(printed);
  // Within JSON it is the same text.
  expect(JSON.parse(`"${printed}"`)).toBe(text);
});

test("lines of our own stay lines, cells of a table stay in their rows", () => {
  expect(printableLines("a\nb\x1b[0m")).toBe("a\nb\\u001b[0m");
  expect(
    formatTable([
      ["tensor", "bytes"],
      ["a\nb\x1b[2J", "1 B"],
    ]),
  ).toBe("tensor             bytes\na\\u000ab\\u001b[2J    1 B");
});
