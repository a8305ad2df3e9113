/**
 * Both streams of a code without runs of zeros: `decodeBoth` without what skips them, a fifth to a third faster. (Four streams instead
 * of two are slower: an engine then has more values than registers.)
 */

/**
 * Up to a code that is longer than the table, or to where a segment or the bytes are near their end.
 *
 * @param step of look-ups whose content is at once behind what was written before
 * @param progress bits read of A and of B, bytes written of A and of B
 * @returns whether a long code is next, in one of them at least
 */
export function decodeDense(
  content: Float64Array,
  step: Uint32Array,
  bits: number,
  view: DataView,
  output: DataView,
  progress: Int32Array,
  stopA: number,
  stopB: number,
): boolean {
  const shift = 32 - bits;
  const top = view.byteLength - 4;
  const last = top << 3;
  let [pA, pB, oA, oB] = progress;
  let escaped = false;
  while (!escaped && oA <= stopA && oB <= stopB && pA <= last && pB <= last) {
    const wA = view.getUint32(pA >>> 3, false) << (pA & 7);
    const wB = view.getUint32(top - (pB >>> 3), true) << (pB & 7);
    let iA = wA >>> shift;
    let iB = wB >>> shift;
    let sA = step[iA];
    let sB = step[iB];
    output.setFloat64(oA, content[iA], true);
    output.setFloat64(oB, content[iB], true);
    oA += sA >>> 8;
    oB += sB >>> 8;
    pA += sA & 31;
    pB += sB & 31;
    if (bits <= 12) {
      iA = (wA << sA) >>> shift;
      iB = (wB << sB) >>> shift;
      sA = step[iA];
      sB = step[iB];
      output.setFloat64(oA, content[iA], true);
      output.setFloat64(oB, content[iB], true);
      oA += sA >>> 8;
      oB += sB >>> 8;
      pA += sA & 31;
      pB += sB & 31;
    }
    escaped = sA === 0 || sB === 0;
  }
  progress.set([pA, pB, oA, oB]);
  return escaped && oA <= stopA && oB <= stopB;
}
