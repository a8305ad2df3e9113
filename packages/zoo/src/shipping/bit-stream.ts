// Integers of any width behind one another, most significant bit first: what a packed format is made of.
// Example: 5 in 3 bits and 1 in 2 bits are 101 01, one byte 10101000.

export interface BitWriter {
  /** @param width 0 .. 32; nothing is written for 0 */
  put(value: number, width: number): void;
  /** All that was put, the last byte filled up with zeros. */
  bytes(): Uint8Array;
}

export function bitWriter(): BitWriter {
  let written = new Uint8Array(1024);
  let length = 0;
  let pending = 0;
  let count = 0;
  return {
    put(value, width) {
      for (let left = width; left > 0; ) {
        const taken = Math.min(left, 8 - count);
        left -= taken;
        pending = (pending << taken) | ((value >>> left) & ((1 << taken) - 1));
        count += taken;
        if (count < 8) continue;
        if (length === written.length) {
          const longer = new Uint8Array(2 * length);
          longer.set(written);
          written = longer;
        }
        written[length++] = pending;
        pending = 0;
        count = 0;
      }
    },
    bytes() {
      const bytes = new Uint8Array(length + (count > 0 ? 1 : 0));
      bytes.set(written.subarray(0, length));
      if (count > 0) bytes[length] = pending << (8 - count);
      return bytes;
    },
  };
}

export interface BitReader {
  /** @returns the next `width` bits as a number from 0 up @throws {RangeError} where the bytes end before */
  take(width: number): number;
  /** Bits taken so far. */
  position(): number;
}

export function bitReader(bytes: Uint8Array): BitReader {
  let position = 0;
  return {
    take(width) {
      if (position + width > 8 * bytes.length) {
        throw new RangeError(
          `bytes: expected ${width} more bits at bit ${position}, got ${8 * bytes.length} in all`,
        );
      }
      let value = 0;
      for (let left = width; left > 0; ) {
        const offset = position & 7;
        const taken = Math.min(left, 8 - offset);
        const bits = (bytes[position >>> 3] >>> (8 - offset - taken)) & ((1 << taken) - 1);
        value = value * 2 ** taken + bits;
        position += taken;
        left -= taken;
      }
      return value;
    },
    position: () => position,
  };
}
