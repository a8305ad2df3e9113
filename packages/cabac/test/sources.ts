/** Seeded integers of known statistics. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
    return ((mixed ^ (mixed >>> 13)) >>> 0) / 2 ** 32;
  };
}

/** Two-sided geometric: P(k) proportional to ratio^|k|. Integers only at the end, so the draw is the same everywhere. */
export function geometric(length: number, ratio: number, seed: number): Int32Array {
  const next = random(seed);
  return Int32Array.from({ length }, () => {
    let k = 0;
    const zero = (1 - ratio) / (1 + ratio);
    if (next() < zero) return 0;
    do k++;
    while (next() < ratio);
    return next() < 0.5 ? -k : k;
  });
}

/** Rows and columns with scales of their own, and 3x3 kernels that are smooth: what trained convolutions look like. */
export function kernels(rows: number, channels: number, seed: number): Int32Array {
  const next = random(seed);
  const noise = () => next() + next() + next() + next() - 2;
  const columnScale = Array.from({ length: channels }, () => 1 + 4 * next());
  const integers = new Int32Array(rows * channels * 9);
  for (let r = 0, i = 0; r < rows; r++) {
    const rowScale = 0.3 + next();
    for (let c = 0; c < channels; c++) {
      const mean = noise();
      for (let k = 0; k < 9; k++)
        integers[i++] = Math.round(rowScale * columnScale[c] * (mean + 0.7 * noise()));
    }
  }
  return integers;
}

/** Order-0 entropy, bits per integer. */
export function entropy(integers: Int32Array): number {
  const counts = new Map<number, number>();
  for (const integer of integers) counts.set(integer, (counts.get(integer) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= count * Math.log2(count / integers.length);
  return bits / integers.length;
}
