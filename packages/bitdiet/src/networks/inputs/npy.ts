/**
 * An array as NumPy saves it: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 *
 *     npyArray(bytes); // { shape: [128, 3, 224, 224], values: Float32Array }
 */

import { floatValues } from "../../formats/floats.js";
import { lookUp } from "../../formats/use.js";

export interface NamedArray {
  shape: number[];
  /** Row-major. */
  values: Float32Array;
}

/** Numbers of an array by its type, little-endian. */
const readers: Record<string, (bytes: Uint8Array<ArrayBuffer>) => Float32Array> = {
  "<f4": ({ buffer }) => new Float32Array(buffer),
  "<f8": ({ buffer }) => Float32Array.from(new Float64Array(buffer)),
  "<f2": (bytes) => floatValues("float16", bytes),
  "<i8": ({ buffer }) => Float32Array.from(new BigInt64Array(buffer), Number),
  "<i4": ({ buffer }) => Float32Array.from(new Int32Array(buffer)),
  "<i2": ({ buffer }) => Float32Array.from(new Int16Array(buffer)),
  "|i1": ({ buffer }) => Float32Array.from(new Int8Array(buffer)),
  "|u1": (bytes) => Float32Array.from(bytes),
  "|b1": (bytes) => Float32Array.from(bytes),
};

/** \x93NUMPY, by its bytes: what engines call latin1 is windows-1252, where 0x93 is a quotation mark. */
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** @throws {RangeError} if it is none, is cut off, or holds other than numbers */
export function npyArray(bytes: Uint8Array): NamedArray {
  if (!MAGIC.every((byte, i) => bytes[i] === byte) || bytes.length < 12)
    throw new RangeError("expected an array of NumPy (.npy), got other bytes");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isOld = bytes[6] === 1;
  const start = isOld ? 10 : 12;
  const end = start + (isOld ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = new TextDecoder().decode(bytes.subarray(start, end));
  const type = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? "none";
  const read = lookUp(readers, type);
  if (!read)
    throw new RangeError(`expected an array of ${Object.keys(readers).join(", ")}, got ${type.slice(0, 40)}`);
  if (/'fortran_order':\s*True/.test(header))
    throw new RangeError("expected an array in C order, got Fortran's: save np.ascontiguousarray(it)");
  const extents = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1] ?? "";
  const shape = extents
    .split(",")
    .filter((extent) => extent.trim())
    .map(Number);
  const count = shape.reduce((a, b) => a * b, 1);
  const size = count * Number(type[2]);
  if (bytes.length - end !== size)
    throw new RangeError(`expected ${size} bytes for the shape [${shape}], got ${bytes.length - end}`);
  return { shape, values: read(bytes.slice(end)) };
}
