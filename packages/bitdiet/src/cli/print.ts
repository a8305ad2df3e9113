/**
 * What the command prints: results on standard output, progress on standard error.
 *
 *     formatBytes(1234567); // "1,234,567 B"
 */
import { SingleBar } from "cli-progress";

export function formatBytes(bytes: number): string {
  return `${bytes.toLocaleString("en-US")} B`;
}

/** A fixed number of digits, "–" where there is no number. */
export function formatNumber(value: number | undefined, digits: number): string {
  return value === undefined || Number.isNaN(value) ? "–" : value.toFixed(digits);
}

/** "×4.1 smaller", or "×1.2 larger" where it is that. */
export function timesSmaller(bytes: number, reference: number): string {
  return bytes <= reference
    ? `×${formatNumber(reference / bytes, 2)} smaller`
    : `×${formatNumber(bytes / reference, 2)} larger`;
}

/**
 * Text from outside on one line, as a terminal may have it: what would begin another line, move the cursor, colour, or turn the
 * direction of writing is spelled out, as JSON spells it.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) =>
    Array.from(
      { length: character.length },
      (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}

/** The same of each line. */
export const printableLines = (text: string): string => text.split("\n").map(printable).join("\n");

/** Columns as wide as their widest cell; the first is flush left, the others right. */
export function formatTable(texts: readonly (readonly string[])[]): string {
  const rows = texts.map((row) => row.map(printable));
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** JSON has no infinity; what is not a number is null. */
export function jsonNumbers(_: string, value: unknown): unknown {
  return value === Infinity ? "Infinity" : value;
}

export interface Progress {
  /** @param done of `total` in this step */
  step(name: string, done: number, total: number): void;
  /** A line that stays. */
  note(line: string): void;
  stop(): void;
}

/** A bar where a person watches, else a line at the end of each step. Nothing goes to standard output. */
export function terminalProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  let bar: SingleBar | undefined;
  let current = "";
  const stop = () => {
    bar?.stop();
    bar = undefined;
    current = "";
  };
  return {
    step(name, done, total) {
      if (name !== current) stop();
      if (stream.isTTY && !bar) {
        bar = new SingleBar({
          format: "{name} [{bar}] {value}/{total}",
          stream,
          clearOnComplete: true,
          hideCursor: true,
        });
        bar.start(total, done, { name });
      }
      bar?.setTotal(total);
      bar?.update(done);
      if (!stream.isTTY && name !== current && done < total) stream.write(`${name}\n`);
      current = name;
    },
    note(line) {
      stop();
      stream.write(`${printable(line)}\n`);
    },
    stop,
  };
}
