/**
 * Names one after the other, each by what it shares with the start of the one before. FORMAT.md, "Fields".
 *
 *     conv1.weight, conv1.bias   //  0 12 "conv1.weight"  6 4 "bias"
 */
import { must } from "./errors.js";
import { type Reader, readBytes, readNumber, writeNumber } from "./numbers.js";

/** Bytes that all names together may have, shared starts counted each time: they cost nothing to write. */
export const maxNameBytes = (fieldsLength: number): number => 2 ** 22 + 64 * fieldsLength;

/** Reads names, none of them twice. @param budget bytes that names may still have, shared ones counted: by the format, by the caller */
export function nameReader(reader: Reader, budget: { left: number; room: number }): () => string {
  const seen = new Set<string>();
  const utf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
  let before = new Uint8Array(0);
  return () => {
    const shared = readNumber(reader);
    must(shared <= before.length);
    const rest = readBytes(reader, readNumber(reader));
    budget.left -= shared + rest.length;
    budget.room -= shared + rest.length;
    must(budget.left >= 0, "names are too long");
    must(budget.room >= 0, "more names than maxBytes leaves room for");
    const bytes = new Uint8Array(shared + rest.length);
    bytes.set(before.subarray(0, shared));
    bytes.set(rest, shared);
    before = bytes;
    const name = decoded(utf8, bytes);
    must(!seen.has(name));
    seen.add(name);
    return name;
  };
}

function decoded(utf8: TextDecoder, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    must(false, "a name is no UTF-8");
  }
}

/**
 * Writes names, and counts their bytes.
 *
 * @throws {RangeError} for names that are there twice, or are no text that UTF-8 can hold
 */
export function nameWriter(
  fields: number[],
  argument: string,
  budget: { used: number },
): (name: string) => void {
  let before = new Uint8Array(0);
  const seen = new Set<string>();
  return (name) => {
    if (seen.has(name)) throw new RangeError(`${argument}: expected each name once, got "${name}" twice`);
    seen.add(name);
    const bytes = new TextEncoder().encode(name);
    if (new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes) !== name)
      throw new RangeError(`${argument}: expected names of whole characters, got ${JSON.stringify(name)}`);
    budget.used += bytes.length;
    let shared = 0;
    while (shared < bytes.length && bytes[shared] === before[shared]) shared++;
    writeNumber(fields, shared);
    writeNumber(fields, bytes.length - shared);
    for (let i = shared; i < bytes.length; i++) fields.push(bytes[i]);
    before = bytes;
  };
}
