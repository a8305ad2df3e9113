/**
 * Results as a table that reads the same on a terminal and in a README: Markdown, columns padded, numbers to the right.
 *
 * [{ step: 1, bits: 2.1 }, { step: 0.5 }] becomes "| step | bits |", "| ---: | ---: |", "|    1 |  2.1 |", "|  0.5 |      |".
 */
import { execFileSync } from "node:child_process";

export type Row = Record<string, string | number | undefined>;

/** @param rows the first row's keys, and any that later rows add, are the columns; absent values stay empty */
export function markdownTable(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const isNumeric = (column: string) => rows.every((row) => typeof (row[column] ?? 0) === "number");
  const cells = rows.map((row) => columns.map((column) => String(row[column] ?? "")));
  const widths = columns.map((column, c) =>
    Math.max(3, column.length, ...cells.map((line) => line[c].length)),
  );
  const line = (texts: string[]): string =>
    `| ${texts.map((text, c) => (isNumeric(columns[c]) ? text.padStart(widths[c]) : text.padEnd(widths[c]))).join(" | ")} |`;
  const rule = columns.map((column, c) =>
    isNumeric(column) ? `${"-".repeat(widths[c] - 1)}:` : "-".repeat(widths[c]),
  );
  return [line(columns), `| ${rule.join(" | ")} |`, ...cells.map(line)].join("\n");
}

/** What a result was made by: command, commit, versions. */
export function sourceOf(bench: string) {
  const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
  const changed = git("status", "--porcelain", "--", ":(top)packages");
  return {
    command: `npm run bench -- ${bench}`,
    commit: git("rev-parse", "HEAD") + (changed ? " and changes" : ""),
    node: process.version,
    date: new Date().toISOString(),
  };
}
