/**
 * FORMAT.md word for word, slowly: the payload is one big fraction, the interval is exact, contexts live in a Map under
 * readable names, neighbours are looked up in the whole tensor. Shares no code with src/.
 */
const floorDiv = (a: number, b: number) => Math.floor(a / b);
const log8 = (mean: number) => {
  const value = 16 + 4 * mean;
  const exponent = Math.floor(Math.log2(value) + 1e-12);
  return 8 * exponent + floorDiv((value - 2 ** exponent) * 8, 2 ** exponent);
};

export function referenceDecode(
  payload: Uint8Array,
  count: number,
  rowLength: number,
  height: number,
  width: number,
): { levels: number[]; decisions: [number, number][] } {
  // The range coder: value and low are exact, in units of the last digit so far.
  let value = 0n;
  let at = 0;
  const digit = () => BigInt(at < payload.length ? payload[at] : 0) + 0n * BigInt(at++);
  for (let i = 0; i < 4; i++) value = value * 256n + digit();
  let low = 0n;
  let range = 2n ** 32n - 1n;
  const decisions: [number, number][] = [];
  const bitOf = (p: number): number => {
    const bound = (range / 65536n) * BigInt(p);
    const bit = value < low + bound ? 1 : 0;
    if (bit) range = bound;
    else {
      low += bound;
      range -= bound;
    }
    while (range < 2n ** 24n) {
      value = value * 256n + digit();
      low *= 256n;
      range *= 256n;
    }
    decisions.push([p, bit]);
    return bit;
  };
  // Adaptive estimates: p in 2^-22 and uses.
  const estimates = new Map<string, { p: number; uses: number }>();
  const learn = (e: { p: number; uses: number }, bit: number, limit: number) => {
    const error = floorDiv((bit ? 2 ** 22 : 0) - e.p, 8);
    e.p += floorDiv(error * floorDiv(4096, e.uses + 2), 512);
    if (e.uses < limit) e.uses++;
  };
  const decide = (first: string, second: string, start: number): number => {
    if (!estimates.has(first)) estimates.set(first, { p: start, uses: 1 });
    const one = estimates.get(first)!;
    const two = { ...(estimates.get(second) ?? { p: one.p, uses: 2 }) };
    const p = Math.min(65536 - 24, Math.max(24, floorDiv(one.p + two.p, 128)));
    const bit = bitOf(p);
    learn(one, bit, 127);
    learn(two, bit, 255);
    estimates.set(second, two);
    return bit;
  };
  const half = 2 ** 21;
  const levels: number[] = [];
  const columnMeans: number[] = [];
  const clip = (v: number, most: number) => Math.max(-most, Math.min(most, v));
  let rowStart = 32;
  for (let row = 0; row * rowLength < count; row++) {
    let fast = rowStart;
    let slow = rowStart;
    for (let column = 0; column < rowLength; column++) {
      const here = row * rowLength + column;
      const plane = height * width === 1;
      const stride = plane ? rowLength : width;
      const x = plane ? column : column % width;
      const y = plane ? row : floorDiv(column, width) % height;
      const neighbour = (dy: number, dx: number): number | undefined => {
        if (x + dx < 0 || x + dx >= stride || y + dy < 0) return undefined;
        return clip(levels[here + dy * stride + dx], 1023);
      };
      const left = neighbour(0, -1);
      const up = neighbour(-1, 0);
      const corner = neighbour(-1, -1);
      const sum =
        fast +
        ([left, up, corner, neighbour(-1, 1), neighbour(0, -2)] as const)
          .map((v, i) => (i < 2 ? 2 : 1) * (v === undefined ? fast : 64 * Math.abs(v)))
          .reduce((a, b) => a + b);
      const log = 5 * (log8(floorDiv(sum, 8)) + log8(row ? columnMeans[column] : slow) - 64);
      const scale = floorDiv(log, 64);
      const between = floorDiv(log + 32, 64);
      const l = left ?? 0;
      const u = up ?? 0;
      const c = corner ?? 0;
      const b = neighbour(0, -2) ?? 0;
      const expected = 2 * l + 2 * u - c;
      const size = Math.abs(expected);
      const sizeClass = (n: number) => [0, 1, 2, 3, 4, 6, 8, 12].filter((start) => start <= n).length - 1;
      const signClass = [0, 1, 2, 3, 4, 5, 6, 8, 11, 16].filter((start) => start <= size).length - 1;
      const position = plane
        ? `${Math.min(2, Math.abs(l))},${Math.min(2, Math.abs(u))}`
        : `${y === 0 ? 0 : y === height - 1 ? 2 : 1},${x === 0 ? 0 : x === width - 1 ? 2 : 1}`;
      // The start of a first context.
      const middle = 32 + floorDiv(32 * scale + 16, 5);
      const mean = floorDiv(floorDiv((8 + (middle % 8)) * 2 ** floorDiv(middle, 8), 8) - 16, 4);
      const startOf = (k: number) => floorDiv(2 ** 22 * mean, mean + (k ? 128 : 48));
      const flag = (k: number, sign: string) =>
        decide(
          `flag ${k} ${sign} ${sizeClass(size)} ${scale}`,
          `flag2 ${k} ${position} ${sizeClass(Math.abs(l + u))} ${between}`,
          startOf(k),
        );
      let level = 0;
      if (flag(0, "none")) {
        const f = expected < 0 ? -1 : 1;
        const unexpected = decide(
          `sign ${signClass} ${scale}`,
          `sign2 ${[l, u, c, b].map((v) => clip(f * v, 2))}`,
          half,
        );
        const sign = expected === 0 ? "none" : unexpected ? "other" : "same";
        let magnitude = 1;
        while (magnitude < 10 && flag(magnitude, sign)) magnitude++;
        if (magnitude === 10) {
          const one = (name: string) => decide(name, name, half);
          let length = 1;
          while (one(`longer ${scale} ${length}`)) length++;
          let rest = 1;
          for (let i = 1; i < length; i++) rest = 2 * rest + one(`bit ${length} ${length - 1 - i}`);
          magnitude = 9 + rest;
        }
        level = (expected < 0 ? -1 : 1) * (unexpected ? -1 : 1) * magnitude;
      }
      levels.push(level);
      const m = 64 * Math.abs(clip(level, 1023));
      fast += floorDiv(m - fast, 16);
      slow += floorDiv(m - slow, 32);
      if (row === 0) columnMeans.push(floorDiv(slow + m, 2));
      else
        columnMeans[column] += floorDiv(
          (m - columnMeans[column]) * Math.max(16, floorDiv(256, row + 2)),
          256,
        );
    }
    rowStart = row === 0 ? slow : rowStart + floorDiv(slow - rowStart, 4);
  }
  return { levels, decisions };
}
