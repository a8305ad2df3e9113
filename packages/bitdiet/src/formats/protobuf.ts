/**
 * Protobuf's wire format: fields of a message as they lie in its bytes, and messages changed in places, every other byte as it was.
 * https://protobuf.dev/programming-guides/encoding
 *
 *     fieldsOf(Uint8Array.of(0x0a, 1, 65)); // [{ id: 1, wire: 2, payload: Uint8Array [65], bytes: all three }]
 */

import { ModelFileError } from "../model.js";

export const VARINT = 0;
export const LENGTH_DELIMITED = 2;

export interface Field {
  id: number;
  /** 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. */
  wire: number;
  /** The value's bytes, without tag and length; a view. */
  payload: Uint8Array;
  /** The whole field; a view. */
  bytes: Uint8Array;
}

/** @throws {ModelFileError} if the bytes are no message */
export function fieldsOf(message: Uint8Array): Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < message.length; ) {
    const start = at;
    const varint = () => {
      let value = 0;
      for (let unit = 1; unit < 2 ** 70; unit *= 128) {
        const byte = message[at++];
        value += (byte & 127) * unit;
        if (byte < 128) return value;
      }
      throw new ModelFileError(`no protobuf: no varint at byte ${start}`);
    };
    const tag = varint();
    const wire = tag & 7;
    let from = at;
    if (wire === VARINT) varint();
    else if (wire === LENGTH_DELIMITED) {
      const length = varint();
      from = at;
      at += length;
    } else if (wire === 1 || wire === 5) at += wire === 1 ? 8 : 4;
    else throw new ModelFileError(`no protobuf: wire type ${wire} at byte ${start}`);
    if (!(at <= message.length)) throw new ModelFileError(`no protobuf: cut after ${message.length} bytes`);
    fields.push({
      id: Math.floor(tag / 8),
      wire,
      payload: message.subarray(from, at),
      bytes: message.subarray(start, at),
    });
  }
  return fields;
}

/** Fields of a message by their numbers. */
export function grouped(message: Uint8Array): (id: number) => Field[] {
  const groups = new Map<number, Field[]>();
  for (const field of fieldsOf(message)) {
    const group = groups.get(field.id);
    if (group) group.push(field);
    else groups.set(field.id, [field]);
  }
  return (id) => groups.get(id) ?? [];
}

/** Text of a field; of several values the last counts, as protobuf has it, and "" stands for none. */
export function text(fields: Field[]): string {
  const last = fields.at(-1);
  return last ? new TextDecoder().decode(last.payload) : "";
}

/** Texts of a repeated field. */
export function texts(fields: Field[]): string[] {
  const decoder = new TextDecoder();
  return fields.map(({ payload }) => decoder.decode(payload));
}

/** Signed number of a field; of several the last. */
export function integer(fields: Field[]): number | undefined {
  const last = fields.at(-1);
  return last && integerOf(last.payload);
}

/** Repeated whole numbers, one by one or packed. */
export function integers(fields: Field[]): number[] {
  return fields.flatMap(({ payload, wire }) =>
    wire === VARINT ? [integerOf(payload)] : varintsOf(payload).map(Number),
  );
}

/** Repeated floats, one by one or packed. */
export function floats(fields: Field[]): number[] {
  return fields.flatMap(({ payload }) => [
    // A copy even of Node's Buffer, whose slice is none.
    ...new Float32Array(new Uint8Array(payload.subarray(0, payload.length & ~3)).buffer),
  ]);
}

/** Signed 64-bit number of a varint's payload, rounded beyond 2^53. */
export function integerOf(payload: Uint8Array): number {
  return Number(varintsOf(payload)[0] ?? 0n);
}

/** Signed 64-bit numbers of varints one after another. @throws {ModelFileError} if the last is cut */
export function varintsOf(payload: Uint8Array): bigint[] {
  const values: bigint[] = [];
  for (let at = 0; at < payload.length; ) {
    // Of seven bits each, the lower four bytes and the rest apart: fast, and exact.
    let [low, high] = [0, 0];
    const start = at;
    for (; payload[at] > 127; at++) {
      if (at - start < 4) low += (payload[at] & 127) * 128 ** (at - start);
      else high += (payload[at] & 127) * 128 ** (at - start - 4);
    }
    if (at >= payload.length || at - start > 9)
      throw new ModelFileError("no protobuf: a varint is cut or too long");
    if (at - start < 4) low += payload[at] * 128 ** (at - start);
    else high += payload[at] * 128 ** (at - start - 4);
    at++;
    values.push(
      high < 2 ** 24 ? BigInt(high * 2 ** 28 + low) : BigInt.asIntN(64, (BigInt(high) << 28n) + BigInt(low)),
    );
  }
  return values;
}

/** Shortest varint of a number; negative ones as ten bytes of two's complement. */
export function varintBytes(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = value < 0 || value > Number.MAX_SAFE_INTEGER ? BigInt.asUintN(64, BigInt(value)) : Number(value);
  for (; rest > 127; rest = typeof rest === "bigint" ? rest >> 7n : Math.floor(rest / 128))
    bytes.push(Number(typeof rest === "bigint" ? rest & 127n : rest % 128) + 128);
  bytes.push(Number(rest));
  return bytes;
}

/** Tag of a field. */
export function tagBytes(id: number, wire: number): number[] {
  return varintBytes(8 * id + wire);
}

/**
 * A message in which some fields are replaced. Lengths of length-delimited fields keep their width in bytes where they can, so that
 * what is cut out of a message and put back gives the same bytes, however it was written.
 *
 * @param replace gives a length-delimited field's new payload, a whole field in place of any, or undefined to leave it as it is
 * @returns the pieces, or undefined if nothing is replaced
 */
export function rewritten(
  message: Uint8Array,
  replace: (field: Field) => { payload: Uint8Array[] } | { field: Uint8Array[] } | undefined,
): Uint8Array[] | undefined {
  let isChanged = false;
  const pieces = fieldsOf(message).flatMap((field) => {
    const change = replace(field);
    if (!change) return [field.bytes];
    isChanged = true;
    if ("field" in change) return change.field;
    const tag = tagBytes(field.id, field.wire);
    const width = field.bytes.length - field.payload.length - tag.length;
    const length = varintBytes(change.payload.reduce((sum, piece) => sum + piece.length, 0));
    while (length.length < width) {
      length[length.length - 1] |= 128;
      length.push(0);
    }
    return [Uint8Array.of(...tag, ...length), ...change.payload];
  });
  return isChanged ? pieces : undefined;
}
