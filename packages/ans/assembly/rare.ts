/** Values that no symbol stands for, and low bits: src/weights-low-bits.ts, lane by lane. */
import { FAILED, LOW_POSITION, RARE_LANES } from "../src/weights-memory";

/** No value is as large: the words of scales beyond those with tables say so much more. */
const RARE = 512;
const ESCAPE = RARE - 64;

/** Whether any lane has one. */
// @ts-ignore: decorator
@inline
export function areRare(symbols: v128): bool {
  return v128.any_true(i32x4.ge_s(symbols, i32x4.splat(ESCAPE)));
}

/** @param count 0 .. 30 */
function takeLowBits(low: usize, count: i32): i32 {
  const position = load<i32>(LOW_POSITION);
  store<i32>(LOW_POSITION, position + count);
  return <i32>(load<u64>(low + <usize>(position >>> 3)) >> <u64>(position & 7)) & ((1 << count) - 1);
}

function rareValue(low: usize, limits: usize, symbol: i32, table: i32, octaveLog: i32): i32 {
  const beyond = max(0, (table >> octaveLog) - 9);
  let value = symbol - RARE;
  if (symbol == ESCAPE) {
    const isNegative = takeLowBits(low, 1);
    let width = 3;
    while (width <= 30 && takeLowBits(low, 1)) width++;
    if (width > 30) {
      store<i32>(FAILED, 1);
      return 0;
    }
    const classes = octaveLog > 2 ? min(beyond, table & 7) : 0;
    value = load<u8>(limits + (table - (beyond << octaveLog) - classes)) + 1 + (1 << width) - 8 + takeLowBits(low, width);
    if (isNegative) value = -value;
  }
  return (value << beyond) | takeLowBits(low, beyond);
}

/** Every lane's value. @param tables number of each lane's table */
export function rareValues(symbols: v128, tables: v128, low: usize, limits: usize, octaveLog: i32): v128 {
  v128.store(RARE_LANES, symbols);
  v128.store(RARE_LANES + 16, tables);
  for (let at = RARE_LANES; at < RARE_LANES + 16; at += 4) {
    const symbol = load<i32>(at);
    if (symbol >= ESCAPE) store<i32>(at, rareValue(low, limits, symbol, load<i32>(at + 16), octaveLog));
  }
  return v128.load(RARE_LANES);
}
