/**
 * Second moments from few samples, made fit for use: with fewer samples than columns, some errors would seem to cost nothing, and rounding
 * would put all of its errors there. Correlations are shrunk by the share of their squares that chance alone explains (Schäfer and
 * Strimmer, Stat. Appl. Genet. Mol. Biol. 4:32, 2005; Ledoit and Wolf, J. Multivar. Anal. 88, 2004), and at least by the share that
 * columns have in columns and samples: rounding looks for whatever seems free, which is then not what it seems.
 *
 *     shrinkCorrelations(gram, 257, 100, 100); // 0.72: each correlation is now 0.28 of what it was
 */

/**
 * @param gram n x n, mean of x x^T, the last entry of x always 1; changed in place. Means and variances stay
 * @param samples that it is the mean of
 * @param independent as many of them as have nothing to do with each other
 * @returns the share that was taken away, 0 to 1
 */
export function shrinkCorrelations(
  gram: Float64Array,
  n: number,
  samples: number,
  independent: number,
): number {
  const columns = n - 1;
  const means = gram.slice(columns * n, columns * n + columns);
  const variances = means.map((mean, c) => gram[c * n + c] - mean * mean);
  let [chance, total] = [0, 0];
  for (let a = 0; a < columns; a++) {
    for (let b = 0; b < a; b++) {
      const scale = variances[a] * variances[b];
      if (!(scale > 0)) continue;
      const square = Math.min(1, (gram[a * n + b] - means[a] * means[b]) ** 2 / scale);
      // The variance of a correlation of normal numbers.
      chance += (1 - square) ** 2 / Math.max(1, independent - 1);
      total += square;
    }
  }
  const share = Math.min(1, Math.max(total > 0 ? chance / total : 0, columns / (columns + samples)));
  for (let a = 0; a < columns; a++) {
    for (let b = 0; b < columns; b++) {
      const expected = means[a] * means[b];
      if (a !== b) gram[a * n + b] = expected + (1 - share) * (gram[a * n + b] - expected);
    }
  }
  return share;
}
