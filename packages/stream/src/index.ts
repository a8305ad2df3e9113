/**
 * What every Bitdiet stream has: a checksum, numbers as LEB128, one error for bad bytes, one rule for how much a decoder
 * gives out. Private: bundled into the packages that use it.
 *
 *     xxHash32(Uint8Array.of())   // 0x02cc5d05, the checksum of nothing
 */
export { CorruptInputError, corrupt } from "./corrupt-input.js";
export { describe } from "./describe.js";
export { numberBytes, readNumber, writeNumber } from "./leb128.js";
export { checkedMaxLength } from "./max-length.js";
export { xxHash32 } from "./xxhash32.js";
