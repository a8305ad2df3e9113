/**
 * Where the WebAssembly decoder keeps what it hands on from call to call: addresses in its memory, for both sides. Vectors are of four
 * 32-bit numbers, one a row of the group.
 */

/** Means of the rows in units of 1/1024, and states. */
export const MEANS = 0;
export const STATES = 16;
/** Sizes of a matrix's last weight, and of the one before. */
export const LEFT = 32;
export const SECOND = 48;
/** Two vectors for values that no symbol stands for. */
export const RARE_LANES = 64;
/** A word of zero: what a row that there is not decodes. */
export const NOTHING = 96;
/** The next bits of the payload's window, and of that of low bits. */
export const POSITION = 100;
export const LOW_POSITION = 104;
/** What the rows of the next group start from. */
export const ROW_START = 108;
/** Other than 0 once bits were found that stand for nothing. */
export const FAILED = 112;
/** Everything else comes behind. */
export const FREE = 128;
