/**
 * What people write on the command line, as numbers.
 *
 *     bytesOption("--max-bytes", "3MB");  // 3000000
 *     dropOption("--max-drop", "0.5%");   // 0.005
 */

/** The command was used wrongly: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** What a call gives; errors of ranges are the user's. @throws {UsageError} naming the option */
export function asUsage<Value>(option: string, call: () => Value): Value {
  try {
    return call();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`${option}: ${error.message}`);
    throw error;
  }
}

const units: Record<string, number> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

/** A size: 1 kB is 1,000 bytes, 1 KiB is 1,024. @throws {UsageError} if it is none */
export function bytesOption(name: string, value: unknown): number {
  const match = /^([\d_]*\.?\d+)\s*([a-z]*)$/i.exec(String(value).trim());
  const unit = match ? units[match[2].toLowerCase()] : undefined;
  const bytes = match && unit ? Math.floor(Number(match[1].replaceAll("_", "")) * unit) : Number.NaN;
  if (!(bytes > 0)) throw new UsageError(`${name}: expected a size such as 300kB or 3MB, got ${value}`);
  return bytes;
}

/** A number in a range. @throws {UsageError} if it is none */
export function numberOption(name: string, value: unknown, least: number, most: number): number {
  const number = typeof value === "string" && value.trim() === "" ? Number.NaN : Number(value);
  if (typeof value === "boolean" || !(number >= least && number <= most))
    throw new UsageError(`${name}: expected a number from ${least} to ${most}, got ${value}`);
  return number;
}

/** By how much a score may fall: 0.5% is 0.005, a plain number is in the score's own units. @throws {UsageError} */
export function dropOption(name: string, value: unknown): number {
  const text = String(value).trim();
  const number = text.endsWith("%") ? Number(text.slice(0, -1)) / 100 : Number(text);
  if (text === "" || text === "%" || typeof value === "boolean" || !(number >= 0 && number < Infinity))
    throw new UsageError(`${name}: expected a drop such as 0.5% or 0.005, got ${value}`);
  return number;
}

/** A number, or one for each channel, by the name of what they are; nothing where there are none. @throws {UsageError} */
export function channelsOption<Name extends string>(
  option: string,
  value: unknown,
  name: Name,
): { [name in Name]?: number[] } {
  if (value === undefined) return {};
  const numbers = textOption(option, value)
    .split(",")
    .map((each) => (each.trim() === "" ? Number.NaN : Number(each)));
  if (![1, 3, 4].includes(numbers.length) || !numbers.every(Number.isFinite))
    throw new UsageError(`${option}: expected a number or one a channel, such as 0.5,0.5,0.5, got ${value}`);
  return { [name]: numbers } as { [name in Name]?: number[] };
}

/** Order of a picture's axes and channels. @throws {UsageError} */
export function layoutOption(option: string, value: unknown): { layout?: "NCHW" | "NHWC"; bgr: boolean } {
  if (value === undefined) return { bgr: false };
  const match = /^(NCHW|NHWC)(-BGR)?$/i.exec(textOption(option, value));
  if (!match) throw new UsageError(`${option}: expected NCHW, NHWC, NCHW-BGR or NHWC-BGR, got ${value}`);
  return { layout: match[1].toUpperCase() as "NCHW" | "NHWC", bgr: match[2] !== undefined };
}

/** A part of several, from 1: 2/4 is the second of four. @throws {UsageError} */
export function shardOption(name: string, value: unknown): { index: number; count: number } {
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(textOption(name, value)) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  if (!(shard.index >= 1 && shard.index <= shard.count))
    throw new UsageError(`${name}: expected 1/4 for the first of four parts, got ${value}`);
  return shard;
}

/** A path or name, given once. @throws {UsageError} */
export function textOption(name: string, value: unknown): string {
  if (Array.isArray(value)) throw new UsageError(`${name}: expected once, got ${value.length} times`);
  if (typeof value === "boolean" || value === undefined || String(value) === "")
    throw new UsageError(`${name}: expected a value, got none`);
  return String(value);
}

/** Values of an option that may be given several times. @throws {UsageError} */
export function textOptions(name: string, value: unknown): string[] {
  if (value === undefined) return [];
  return [value].flat().map((each) => textOption(name, each));
}

/** PATTERN=BITS, several times perhaps. @throws {UsageError} */
export function bitsForOptions(name: string, value: unknown): { pattern: string; bits: number }[] {
  return textOptions(name, value).map((text) => {
    const at = text.lastIndexOf("=");
    if (at < 1) throw new UsageError(`${name}: expected PATTERN=BITS such as "head/*=6", got ${text}`);
    return { pattern: text.slice(0, at), bits: numberOption(name, text.slice(at + 1), 0.05, 16) };
  });
}
