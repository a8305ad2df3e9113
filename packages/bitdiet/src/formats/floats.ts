/**
 * Float tensors as numbers and back: float32, IEEE 754 half precision, bfloat16 and float64, rounded to nearest, ties to even.
 *
 *     floatValues("float16", Uint8Array.of(0x00, 0x3c)); // Float32Array [1]
 *     floatBytes("bfloat16", Float32Array.of(1));        // Uint8Array [0x80, 0x3f]
 */

import type { FloatDtype } from "../model.js";

/** Elements as float32: exactly, but for those of float64, which are rounded. The result of float32 bytes may share their memory. */
export function floatValues(dtype: FloatDtype, bytes: Uint8Array): Float32Array {
  if (dtype === "float32") {
    if (bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    return new Float32Array(new Uint8Array(bytes).buffer);
  }
  if (dtype === "float64") return Float32Array.from(new Float64Array(new Uint8Array(bytes).buffer));
  const halves = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  const words = new Uint16Array(halves.buffer, halves.byteOffset, halves.length / 2);
  const bits = new Uint32Array(words.length);
  if (dtype === "bfloat16") for (let i = 0; i < words.length; i++) bits[i] = words[i] << 16;
  else for (let i = 0; i < words.length; i++) bits[i] = halfToFloatBits(words[i]);
  return new Float32Array(bits.buffer);
}

/** Values as elements of a type, each rounded to the nearest; beyond the largest half they become infinite. */
export function floatBytes(dtype: FloatDtype, values: Float32Array): Uint8Array {
  if (dtype === "float32") return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (dtype === "float64") return new Uint8Array(Float64Array.from(values).buffer);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const words = new Uint16Array(values.length);
  const round = dtype === "bfloat16" ? floatToBfloatBits : floatToHalfBits;
  for (let i = 0; i < words.length; i++) words[i] = round(bits[i]);
  return new Uint8Array(words.buffer);
}

function halfToFloatBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 31;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Subnormal: fraction * 2^-24; shift its leading one to where a float32 hides it.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

function floatToHalfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 is half way from the largest half, 65504, to the next power of two.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | ((rounded - 0x38000000) >>> 13);
  }
  // Subnormal: the significand in units of 2^-24.
  const shift = 126 - (magnitude >>> 23);
  if (shift > 24) return sign;
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const half = significand >>> shift;
  const rest = significand - half * 2 ** shift;
  const middle = 2 ** (shift - 1);
  return sign | (half + (rest > middle || (rest === middle && half & 1) ? 1 : 0));
}

function floatToBfloatBits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
