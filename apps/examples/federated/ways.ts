// How a client tells by how much its weights have changed: as floats, as bytes, or as few bits with error feedback.
import { type Change, changeSender, changesIn } from "bitdiet";

/** A way to send changes; each client makes a sender of its own, which may remember what it lost. */
export interface Way {
  name: string;
  sender(): (changes: readonly Change[]) => Uint8Array;
  /** @param like what the tensors are, in the order in which they were sent */
  receive(bytes: Uint8Array, like: readonly Change[]): Promise<readonly Float32Array[]>;
}

const float32: Way = {
  name: "float32",
  sender: () => (changes) => {
    const bytes = Buffer.concat(changes.map(({ values }) => new Uint8Array(values.buffer)));
    return new Uint8Array(bytes);
  },
  async receive(bytes, like) {
    const all = new Float32Array(bytes.slice().buffer);
    let at = 0;
    return like.map(({ values }) => all.subarray(at, (at += values.length)));
  },
};

/** A scale for each tensor, and a signed byte for each value. */
const int8: Way = {
  name: "8 bits",
  sender: () => (changes) => {
    const scales = Float32Array.from(
      changes,
      ({ values }) => values.reduce((a, b) => Math.max(a, Math.abs(b)), 0) / 127,
    );
    const integers = changes.map(({ values }, i) =>
      Uint8Array.from(values, (value) => Math.round(value / (scales[i] || 1)) & 255),
    );
    return new Uint8Array(Buffer.concat([new Uint8Array(scales.buffer), ...integers]));
  },
  async receive(bytes, like) {
    const scales = new Float32Array(bytes.slice(0, 4 * like.length).buffer);
    const all = new Int8Array(bytes.slice(4 * like.length).buffer);
    let at = 0;
    return like.map(({ values }, i) =>
      Float32Array.from(all.subarray(at, (at += values.length)), (q) => q * scales[i]),
    );
  },
};

const feedback: Way = {
  name: "bitdiet",
  sender: () => changeSender().send,
  async receive(bytes, like) {
    const received = await changesIn(bytes);
    return like.map(({ name }) => received.get(name)!);
  },
};

export const ways: readonly Way[] = [float32, int8, feedback];
