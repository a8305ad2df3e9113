// Integers of any width behind one another, most significant bit first: what a packed format is made of.
// Example: 5 in 3 bits and 1 in 2 bits are 101 01, one byte 10101000.

export interface BitWriter {
  /** @param width 0 .. 32; nothing is written for 0 */
  put(value: number, width: number): void;
  /** All that was put, the last byte filled up with zeros. */
  bytes(): Uint8Array;
}

export function bitWriter(): BitWriter {
  const whole: number[] = [];
  let pending = 0;
  let count = 0;
  return {
    put(value, width) {
      for (let left = width; left > 0; ) {
        const taken = Math.min(left, 8 - count);
        left -= taken;
        pending = (pending << taken) | ((value >>> left) & ((1 << taken) - 1));
        count += taken;
        if (count === 8) {
          whole.push(pending);
          [pending, count] = [0, 0];
        }
      }
    },
    bytes: () => Uint8Array.from(count > 0 ? [...whole, pending << (8 - count)] : whole),
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
