/**
 * The inverse of `readHeader`: entries to bytes.
 *
 *     writeHeader([], [])   // 15 bytes: "BITD", version, three numbers, a hash, and two counts of 0
 */
import { dtypeNames } from "../model.js";
import { headerHash, MAGIC, type MetadataEntry, type Part, type TensorEntry, VERSION } from "./header.js";
import { encodeText } from "./text.js";

/** Appends in LEB128. @param number whole, 0 .. 2^49 - 1 */
export function writeNumber(bytes: number[], number: number): void {
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) + 128);
  bytes.push(number);
}

/**
 * The header of a file with these entries, whose parts follow it in this order: of each metadata entry, the first of each tensor,
 * the second of each tensor that has one. Where parts start is not asked.
 *
 * @throws {RangeError} if a name is there twice
 */
export function writeHeader(metadata: readonly MetadataEntry[], tensors: readonly TensorEntry[]): Uint8Array {
  const fields: number[] = [];
  const parts: Part[] = [];
  const writePart = (part: Part) => {
    writeNumber(fields, part.length);
    parts.push(part);
  };
  const writeMetadataName = nameWriter(fields, "metadata");
  writeNumber(fields, metadata.length);
  for (const { name, size, coding, part } of metadata) {
    writeMetadataName(name);
    writeNumber(fields, size);
    writeNumber(fields, coding);
    writePart(part);
  }
  const refinements: Part[] = [];
  const writeTensorName = nameWriter(fields, "tensors");
  writeNumber(fields, tensors.length);
  for (const { name, dtype, shape, size, quantized, part, refinementPart } of tensors) {
    writeTensorName(name);
    writeNumber(fields, 2 * dtypeNames.indexOf(dtype) + (quantized ? 1 : 0));
    writeNumber(fields, shape.length);
    for (const extent of shape) writeNumber(fields, extent);
    if (quantized) {
      const { axis, perSlice, coder, transform, refinement } = quantized;
      const flags = [perSlice, coder === 1, transform, transform?.hasMean, refinement];
      writeNumber(
        fields,
        flags.reduce((sum: number, flag, i) => sum + (flag ? 1 << i : 0), 0),
      );
      writeNumber(fields, axis);
      if (transform) {
        writeNumber(fields, transform.rows);
        writeNumber(fields, transform.size);
      }
      if (refinement) writeNumber(fields, 2 * refinement.bits + refinement.coder);
    } else if (dtype === "string") writeNumber(fields, size);
    writePart(part);
    if (quantized?.refinement && refinementPart) {
      writeNumber(fields, refinementPart.length);
      refinements.push(refinementPart);
    }
  }
  parts.push(...refinements);

  const plain = Uint8Array.from(fields);
  const text = encodeText(plain);
  const coded = text.length < plain.length ? text : plain;
  const start: number[] = [];
  for (let i = 0; i < 4; i++) start.push((MAGIC >>> (8 * i)) & 255);
  start.push(VERSION);
  for (const number of [parts.length, plain.length, coded.length]) writeNumber(start, number);
  const header = new Uint8Array(start.length + 4 + coded.length + 4 * parts.length);
  const view = new DataView(header.buffer);
  header.set(start);
  header.set(coded, start.length + 4);
  parts.forEach(({ hash }, i) => {
    view.setUint32(start.length + 4 + coded.length + 4 * i, hash, true);
  });
  view.setUint32(
    start.length,
    headerHash(header.subarray(0, start.length), header.subarray(start.length + 4)),
    true,
  );
  return header;
}

/** Each name by what it shares with the one before, and the rest. */
function nameWriter(fields: number[], argument: string): (name: string) => void {
  let before = new Uint8Array(0);
  const names = new Set<string>();
  return (name) => {
    if (names.has(name)) throw new RangeError(`${argument}: expected each name once, got "${name}" twice`);
    names.add(name);
    const bytes = new TextEncoder().encode(name);
    let shared = 0;
    while (shared < bytes.length && bytes[shared] === before[shared]) shared++;
    writeNumber(fields, shared);
    writeNumber(fields, bytes.length - shared);
    fields.push(...bytes.subarray(shared));
    before = bytes;
  };
}
