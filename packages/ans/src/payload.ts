/**
 * The bits of a tANS code: one bit stream, least significant bit first, that 1 or 4 interleaved states share.
 *
 *     [0 .. 7 zero bits] [1] [state 0] .. [state N-1] [bits of symbol 0] [bits of symbol 1] ...
 *
 * N is 1 below 512 symbols and 4 from there on, of weights always 4; symbol i belongs to state i mod N; a state takes tableLog bits. The
 * encoder walks from the last symbol to the first and puts bits in front, so the decoder reads forwards; the zeros
 * and the one in front bring the whole to full bytes. Every state starts at 0 in the encoder, so a decoder that does
 * not end at the last bit with all states 0 has read corrupt bytes. No symbols: no bytes.
 */
export function stateCount(count: number): 1 | 4 {
  return count < 512 ? 1 : 4;
}

/** Bits that a payload of `count` symbols has beside those of the symbols, before it is rounded up to bytes. */
export function overheadBits(count: number, tableLog: number, lanes = stateCount(count)): number {
  return count === 0 ? 0 : 1 + lanes * tableLog;
}
