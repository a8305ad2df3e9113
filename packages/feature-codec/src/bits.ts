/**
 * Plain bits, lowest first: what follows a token, and the integers of matrices.
 *
 *     put(5, 3), put(1, 1)   // one byte, 0b1101
 */
import { corrupt } from "@bitdiet/stream";

export interface BitWriter {
  /** Appends the low `width` bits, 0 .. 24. */
  put(value: number, width: number): void;
  /** Everything, the last byte filled with zeros. */
  bytes(): Uint8Array;
}

export function bitWriter(): BitWriter {
  const bytes: number[] = [];
  let pending = 0;
  let used = 0;
  const flush = () => {
    for (; used >= 8; used -= 8, pending >>>= 8) bytes.push(pending & 255);
  };
  return {
    put(value, width) {
      pending |= (value & ((1 << width) - 1)) << used;
      used += width;
      flush();
    },
    bytes() {
      if (used > 0) used = 8;
      flush();
      used = 0;
      pending = 0;
      return Uint8Array.from(bytes);
    },
  };
}

export interface BitReader {
  /** @throws {CorruptInputError} where the bytes end */
  take(width: number): number;
  /** @throws {CorruptInputError} unless all bytes were read, and the bits left over are zeros */
  finish(): void;
}

export function bitReader(bytes: Uint8Array): BitReader {
  let at = 0;
  let pending = 0;
  let held = 0;
  return {
    take(width) {
      for (; held < width; held += 8) {
        if (at === bytes.length) corrupt("bits: end");
        pending |= bytes[at++] << held;
      }
      const value = pending & ((1 << width) - 1);
      pending >>>= width;
      held -= width;
      return value;
    },
    finish() {
      if (at !== bytes.length || pending !== 0) corrupt("bits: end");
    },
  };
}
