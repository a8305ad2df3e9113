/**
 * The protobuf wire format, as far as ONNX needs it: messages to fields and back. Nothing that is not asked for is decoded, so what a
 * reader does not know survives as bytes.
 * https://protobuf.dev/programming-guides/encoding
 *
 *     [...fieldsOf(Uint8Array.of(8, 150, 1))];      // [{ id: 1, value: 150n, bytes: the three }]
 *     joined([varintField(1, 150)]);                // the same three bytes
 */
import { ModelFileError } from "../model.js";

export interface Field {
  id: number;
  /** The number of a varint; of the fixed types the raw bits. */
  value: bigint;
  /** What a length-delimited field holds; else empty. */
  payload: Uint8Array;
  /** The field as it came, tag included. */
  bytes: Uint8Array;
}

const LENGTH_DELIMITED = 2;

/** @throws {ModelFileError} if the bytes are no message */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  let at = 0;
  const fail = () => new ModelFileError(`onnx: damaged protobuf at byte ${at} of a message`);
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= message.length) throw fail();
      const byte = message[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw fail();
  };
  while (at < message.length) {
    const start = at;
    const tag = Number(varint());
    const wire = tag & 7;
    let value = 0n;
    let payload = message.subarray(0, 0);
    if (wire === 0) value = varint();
    else if (wire === 1 && at + 8 <= message.length) {
      value = view.getBigUint64(at, true);
      at += 8;
    } else if (wire === 5 && at + 4 <= message.length) {
      value = BigInt(view.getUint32(at, true));
      at += 4;
    } else if (wire === LENGTH_DELIMITED) {
      const length = Number(varint());
      if (length > message.length - at) throw fail();
      payload = message.subarray(at, at + length);
      at += length;
    } else throw fail();
    yield { id: Math.floor(tag / 8), value, payload, bytes: message.subarray(start, at) };
  }
}

/** Numbers of a repeated varint field, packed or one by one. */
export function varintsOf(fields: readonly Field[], id: number): bigint[] {
  return fields
    .filter((field) => field.id === id)
    .flatMap(({ bytes, value, payload }) =>
      (bytes[0] & 7) === LENGTH_DELIMITED ? packedVarints(payload) : [BigInt.asIntN(64, value)],
    );
}

function packedVarints(payload: Uint8Array): bigint[] {
  const values: bigint[] = [];
  for (let i = 0; i < payload.length; ) {
    let value = 0n;
    for (let shift = 0n; i < payload.length; shift += 7n) {
      value |= BigInt(payload[i] & 127) << shift;
      if (payload[i++] < 128) break;
    }
    values.push(BigInt.asIntN(64, value));
  }
  return values;
}

/** Bytes of a repeated field of fixed width, packed or one by one. */
export function fixedOf(fields: readonly Field[], id: number, width: number): Uint8Array {
  const parts = fields
    .filter((field) => field.id === id)
    .map(({ bytes, payload }) =>
      (bytes[0] & 7) === LENGTH_DELIMITED ? payload : bytes.subarray(bytes.length - width),
    );
  return joined(parts);
}

export function textOf(fields: readonly Field[], id: number): string {
  const field = fields.filter((field) => field.id === id).at(-1);
  return field ? new TextDecoder().decode(field.payload) : "";
}

export function textsOf(fields: readonly Field[], id: number): string[] {
  return fields.filter((field) => field.id === id).map(({ payload }) => new TextDecoder().decode(payload));
}

export function varintField(id: number, value: number | bigint): Uint8Array {
  return Uint8Array.from([...varintBytes(BigInt(id * 8)), ...varintBytes(BigInt(value))]);
}

/** A length-delimited field: text, bytes or a message given as its pieces. */
export function payloadField(id: number, payload: string | Uint8Array | readonly Uint8Array[]): Uint8Array {
  const pieces =
    typeof payload === "string"
      ? [new TextEncoder().encode(payload)]
      : payload instanceof Uint8Array
        ? [payload]
        : payload;
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const prefix = [...varintBytes(BigInt(id * 8 + LENGTH_DELIMITED)), ...varintBytes(BigInt(length))];
  return joined([Uint8Array.from(prefix), ...pieces]);
}

export function floatField(id: number, value: number): Uint8Array {
  return joined([
    Uint8Array.from(varintBytes(BigInt(id * 8 + 5))),
    new Uint8Array(Float32Array.of(value).buffer),
  ]);
}

export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

function varintBytes(value: bigint): number[] {
  const bytes: number[] = [];
  let left = BigInt.asUintN(64, value);
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  bytes.push(Number(left));
  return bytes;
}
