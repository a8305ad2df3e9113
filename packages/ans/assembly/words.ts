/** Words of the tables, one a lane: symbol << 20 | state before its bits << 6 | number of bits, of which bit 5 is 0. */
import { POSITION, STATES } from "../src/weights-memory";

/** 128 (127 + log2(mean + 1)), between powers of two linear, rounded down: the highest bits of a float. */
// @ts-ignore: decorator
@inline
export function logarithms(means: v128): v128 {
  return i32x4.shr_u(f32x4.convert_i32x4_s(i32x4.add(means, i32x4.splat(1))), 16);
}

/** -63 .. 63. */
// @ts-ignore: decorator
@inline
export function asNeighbours(values: v128): v128 {
  return i32x4.max_s(i32x4.min_s(values, i32x4.splat(63)), i32x4.splat(-63));
}

/**
 * The next word of each lane, whose table starts at its address; lanes move on to their next states. At most 40 bits are read at once.
 */
// @ts-ignore: decorator
@inline
export function takeWords(tables: v128, payload: usize): v128 {
  const addresses = i32x4.add(tables, i32x4.shl(v128.load(STATES), 2));
  const position = load<i32>(POSITION);
  let bits = load<u64>(payload + <usize>(position >>> 3)) >> <u64>(position & 7);
  const a = load<i32>(<usize>i32x4.extract_lane(addresses, 0));
  const b = load<i32>(<usize>i32x4.extract_lane(addresses, 1));
  const c = load<i32>(<usize>i32x4.extract_lane(addresses, 2));
  const d = load<i32>(<usize>i32x4.extract_lane(addresses, 3));
  let fields = i32x4.splat(<i32>bits & ~(-1 << a));
  bits >>= <u64>a;
  fields = i32x4.replace_lane(fields, 1, <i32>bits & ~(-1 << b));
  bits >>= <u64>b;
  fields = i32x4.replace_lane(fields, 2, <i32>bits & ~(-1 << c));
  bits >>= <u64>c;
  fields = i32x4.replace_lane(fields, 3, <i32>bits & ~(-1 << d));
  store<i32>(POSITION, position + ((a + b + c + d) & 63));
  const words = i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(a), 1, b), 2, c), 3, d);
  v128.store(STATES, i32x4.add(v128.and(i32x4.shr_u(words, 6), i32x4.splat(0x3fff)), fields));
  return words;
}
