/**
 * .bitdiet files made up field by field, with hashes that fit: what an adversary sends who knows FORMAT.md. It shares no code with the
 * writer.
 *
 *     forge(disassembled(file));   // the same model, its header as it is written before it is coded
 */
import { xxHash32 } from "@bitdiet/stream";
import { readHeader } from "bitdiet";

/** A number of the fields, or bytes that stand for themselves. */
export type Field = number | Uint8Array;

export interface Forgery {
  fields: Field[];
  parts: Uint8Array[];
}

const DTYPES = (
  "float32 float16 bfloat16 float64 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool complex64 float8_e4m3 float8_e5m2 string " +
  "float8_e8m0 float8_e4m3fnuz float8_e5m2fnuz float6_e2m3 float6_e3m2 float4_e2m1 int4 uint4 int2 uint2 complex128"
).split(" ");

/** The fields and parts of a file that its writer wrote. */
export function disassembled(file: Uint8Array): Forgery {
  const { metadata, tensors } = readHeader(file, { maxBytes: Infinity, maxSeconds: Infinity });
  const fields: Field[] = [metadata.length];
  const parts: Uint8Array[] = [];
  const refinements: Uint8Array[] = [];
  const cut = ({ start, length }: { start: number; length: number }) => file.subarray(start, start + length);
  const push = (name: string) => {
    const bytes = new TextEncoder().encode(name);
    fields.push(0, bytes.length, bytes);
  };
  for (const { name, size, coder, part } of metadata) {
    push(name);
    fields.push(size, coder, part.length);
    parts.push(cut(part));
  }
  fields.push(tensors.length);
  for (const [
    index,
    { name, dtype, shape, size, quantized, integers, same, part, refinementPart },
  ] of tensors.entries()) {
    push(name);
    if (same !== undefined) {
      fields.push(0, index - same);
      continue;
    }
    fields.push(2 * DTYPES.indexOf(dtype) + (quantized || integers ? 3 : 2), shape.length, ...shape);
    if (quantized) {
      const { axis, perRow, coder, refinement } = quantized;
      fields.push((perRow ? 1 : 0) + (refinement ? 2 : 0), coder, axis);
      if (refinement) fields.push(refinement.bits, refinement.coder);
    } else if (integers) fields.push(integers.coder, integers.axis, integers.width);
    else if (dtype === "string") fields.push(size);
    fields.push(part.length);
    parts.push(cut(part));
    if (!refinementPart) continue;
    fields.push(refinementPart.length);
    refinements.push(cut(refinementPart));
  }
  return { fields, parts: [...parts, ...refinements] };
}

export function forge({ fields, parts }: Forgery): Uint8Array {
  const plain = Buffer.concat(fields.map((field) => (typeof field === "number" ? leb128(field) : field)));
  const words = (list: number[]) => new Uint8Array(Uint32Array.from(list).buffer);
  const start = Buffer.concat([
    Buffer.from("BITD\x01\x00"),
    ...[parts.length, plain.length, plain.length].map(leb128),
  ]);
  const rest = Buffer.concat([plain, words(parts.map((part) => xxHash32(part)))]);
  return new Uint8Array(Buffer.concat([start, words([xxHash32(rest, xxHash32(start))]), rest, ...parts]));
}

function leb128(number: number): Uint8Array {
  const bytes: number[] = [];
  for (; number > 127; number = Math.floor(number / 128)) bytes.push((number % 128) + 128);
  return Uint8Array.from([...bytes, number]);
}
