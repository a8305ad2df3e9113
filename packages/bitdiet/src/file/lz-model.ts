/**
 * Literals and matches as bits, each with a probability that is learned in its context: one description for both directions. The
 * encoder's `Bit` writes what it is given; the decoder's reads, and takes no notice of what it is given.
 *
 *     const model = lzModel(0, bytes, (probability) => decodeBit(coder, probability));
 *     bytes[0] = model.literal(0, 0);
 *     model.match(1, { length: 0, place: 0 });   // { length: 7, distance: 1 }; place 0, 1 or 2 is a distance used before
 */
import { MIN_PROBABILITY } from "@bitdiet/cabac/range-coder";
import { must } from "./errors.js";
import { classOf, extraBits, lowest, MIN_MATCH } from "./lz-classes.js";

/** Codes a bit. @param probability of a 1, in units of 2^-16 @returns the bit */
export type Bit = (probability: number, bit: number) => number;

/** Uses after which an estimate keeps its rate. */
const LIMIT = 30;
/** So many of a number's low bits are learned; those between them and its class are as likely 0 as 1. */
const LEARNED_BITS = 4;

/** Where the contexts of a decision start. Those that depend on the place of a byte in its element have 8 of them. */
const IS_MATCH = 0;
const IS_NEW = IS_MATCH + 3 * 8;
const IS_OLDER = IS_NEW + 3;
const IS_OLDEST = IS_OLDER + 3 * 8;
const LITERAL = IS_OLDEST + 1;
const LENGTH = LITERAL + 8 * 3 * 256;
const DISTANCE = LENGTH + 2 * 8 * 128;
const LOW_BITS = DISTANCE + 4 * 128;
const CONTEXTS = LOW_BITS + 3 * (LEARNED_BITS + 1) * 2 ** LEARNED_BITS;

/**
 * @param alignment log2 of the bytes of an element, 0 .. 3
 * @param bytes those before the one that is coded are read
 */
export function lzModel(alignment: number, bytes: Uint8Array, code: Bit) {
  const estimates = new Uint16Array(CONTEXTS).fill(32768);
  const uses = new Uint8Array(CONTEXTS);
  /** 2 after a match, 1 after one literal more, then 0. */
  let history = 0;
  const distances = [1, 1, 1];

  const bit = (context: number, value: number): number => {
    const estimate = estimates[context];
    const found = code(Math.max(MIN_PROBABILITY, Math.min(65536 - MIN_PROBABILITY, estimate)), value);
    // Each moves it by 1 / 2, 1 / 3, 1 / 4 … of the way.
    estimates[context] += Math.floor((65535 * found - estimate) / (uses[context] + 2));
    if (uses[context] < LIMIT) uses[context]++;
    return found;
  };
  const tree = (from: number, width: number, value: number): number => {
    let node = 1;
    for (let k = width - 1; k >= 0; k--) node = 2 * node + bit(from + node, (value >>> k) & 1);
    return node - 2 ** width;
  };
  /** @param low which of the numbers' low bits */
  const number = (from: number, low: number, value: number): number => {
    const kind = tree(from, 7, classOf(value));
    must(kind < 70);
    const extra = extraBits(kind);
    let found = 0;
    for (let k = extra - 1; k >= LEARNED_BITS; k--) found += code(32768, (value >>> k) & 1) * 2 ** k;
    const learned = Math.min(LEARNED_BITS, extra);
    const context = LOW_BITS + ((low * (LEARNED_BITS + 1) + learned) << LEARNED_BITS);
    for (let k = 0, node = 1; k < learned; k++) {
      const next = bit(context + node, (value >>> k) & 1);
      found += next << k;
      node = 2 * node + next;
    }
    return (kind < 16 ? kind : lowest(kind)) + found;
  };
  const placeOf = (at: number): number => at & (2 ** alignment - 1);

  return {
    isMatch: (at: number, value: number): number => bit(IS_MATCH + 8 * history + placeOf(at), value),
    literal(at: number, value: number): number {
      const before = at > 0 ? bytes[at - 1] : 0;
      const context = LITERAL + 768 * (placeOf(at) | ((before >> (5 + alignment)) << alignment));
      let node = 1;
      // Soon after a match the byte in its place is likely, or at least its high bits are.
      let other = history > 0 && distances[0] <= at ? bytes[at - distances[0]] + 256 : 0;
      history = Math.max(0, history - 1);
      for (let k = 7; k >= 0; k--) {
        const like = other > 0 ? 1 + ((other >> k) & 1) : 0;
        const found = bit(context + 256 * like + node, (value >> k) & 1);
        if (found !== like - 1) other = 0;
        node = 2 * node + found;
      }
      return node - 256;
    },
    /** @returns its length and distance */
    match(at: number, { length, place }: { length: number; place: number }) {
      const isNew = bit(IS_NEW + history, place > 2 ? 1 : 0);
      let used = 0;
      if (!isNew && bit(IS_OLDER + 8 * history + placeOf(at), place > 0 ? 1 : 0))
        used = 1 + bit(IS_OLDEST, place - 1);
      const beyond = number(LENGTH + 128 * (8 * isNew + placeOf(at)), isNew, length - MIN_MATCH);
      const distance = isNew
        ? number(DISTANCE + 128 * Math.min(3, beyond), 2, place - 3) + 1
        : distances.splice(used, 1)[0];
      distances.unshift(distance);
      distances.length = 3;
      history = 2;
      return { length: beyond + MIN_MATCH, distance };
    },
  };
}
