/**
 * Counts of bytes: what codes and their sizes follow from.
 *
 *     countBytes(Uint8Array.of(0, 2, 2))  // Uint32Array(256) [1, 0, 2, 0, ...]
 */

/** Four tables, so that equal neighbours do not wait for each other. */
export function countBytes(symbols: Uint8Array): Uint32Array {
  const counts = new Uint32Array(1024);
  const view = new DataView(symbols.buffer, symbols.byteOffset, symbols.byteLength);
  let i = 0;
  for (const end = symbols.length - 3; i < end; i = (i + 4) | 0) {
    const four = view.getInt32(i, true);
    counts[four & 255]++;
    counts[256 | ((four >>> 8) & 255)]++;
    counts[512 | ((four >>> 16) & 255)]++;
    counts[768 | (four >>> 24)]++;
  }
  for (; i < symbols.length; i++) counts[symbols[i]]++;
  return counts
    .slice(0, 256)
    .map((count, symbol) => count + counts[256 + symbol] + counts[512 + symbol] + counts[768 + symbol]);
}
