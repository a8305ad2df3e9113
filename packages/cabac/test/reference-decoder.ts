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
): { integers: number[]; decisions: [number, number][] } {
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
  // Adaptive estimates: q in 2^-22 and uses.
  const estimates = new Map<string, { q: number; uses: number }>();
  const decide = (context: string, start: number): number => {
    const e = estimates.get(context) ?? { q: start, uses: 1 };
    const bit = bitOf(floorDiv(e.q, 64));
    const error = floorDiv((bit ? 2 ** 22 - 1540 : 1540) - e.q, 8);
    e.q += floorDiv(error * floorDiv(8192, e.uses + 2), 1024);
    if (e.uses < 255) e.uses++;
    estimates.set(context, e);
    return bit;
  };
  const half = 2 ** 21;
  const integers: number[] = [];
  const columnMeans: number[] = [];
  const clip = (v: number, most: number) => Math.max(-most, Math.min(most, v));
  let rowStart = 32;
  for (let row = 0; row * rowLength < count; row++) {
    let mean = rowStart;
    let lineMean = 0;
    for (let column = 0; column < rowLength; column++) {
      const here = row * rowLength + column;
      const plane = height * width === 1;
      const stride = plane ? rowLength : width;
      const x = plane ? column : column % width;
      const y = plane ? row : floorDiv(column, width) % height;
      if (x === 0) lineMean = mean;
      const neighbour = (dy: number, dx: number): number | undefined => {
        if (x + dx < 0 || x + dx >= stride || y + dy < 0) return undefined;
        return clip(integers[here + dy * stride + dx], 1023);
      };
      const left = neighbour(0, -1);
      const up = neighbour(-1, 0);
      const corner = neighbour(-1, -1);
      const size = (v: number | undefined) => (v === undefined ? lineMean : 64 * Math.abs(v));
      const sum =
        y === 0
          ? 6 * mean + 2 * size(left)
          : 2 * mean + 2 * size(left) + 2 * size(up) + size(corner) + size(neighbour(-1, 1));
      const columnMean = row ? columnMeans[column] : mean;
      const scale = floorDiv(5 * (log8(floorDiv(sum, 8)) + log8(columnMean) - 64), 64);
      const expected = 2 * (left ?? 0) + 2 * (up ?? 0) - (corner ?? 0);
      const classOf = (starts: number[]) => starts.filter((start) => start <= Math.abs(expected)).length - 1;
      const sizeClass = classOf([0, 1, 2, 3, 4, 6, 8, 12]);
      const signClass = classOf([0, 1, 2, 3, 4, 5, 6, 8, 11, 16]);
      // The start of a flag's estimate.
      const middle = 32 + floorDiv(32 * scale + 16, 5);
      const typical = floorDiv(floorDiv((8 + (middle % 8)) * 2 ** floorDiv(middle, 8), 8) - 16, 4);
      const startOf = (k: number) => floorDiv(2 ** 22 * typical, typical + (k ? 128 : 48));
      const flag = (k: number, sign: string) => decide(`flag ${k} ${sign} ${sizeClass} ${scale}`, startOf(k));
      let integer = 0;
      if (flag(0, "none")) {
        const unexpected = decide(`sign ${signClass} ${scale}`, half);
        const sign = expected === 0 ? "none" : unexpected ? "other" : "same";
        let magnitude = 1;
        while (magnitude < 10 && flag(magnitude, sign)) magnitude++;
        if (magnitude === 10) {
          const one = (name: string) => decide(name, half);
          let length = 1;
          while (one(`longer ${scale} ${length}`)) length++;
          let rest = 1;
          for (let i = 1; i < length; i++) rest = 2 * rest + one(`bit ${length} ${length - 1 - i}`);
          magnitude = 9 + rest;
        }
        integer = (expected < 0 ? -1 : 1) * (unexpected ? -1 : 1) * magnitude;
      }
      integers.push(integer);
      const m = 64 * Math.abs(clip(integer, 1023));
      const rate = Math.max(16, floorDiv(256, row + 2));
      columnMeans[column] = columnMean + floorDiv((m - columnMean) * rate, 256);
      mean += floorDiv(m - mean, 16);
    }
    rowStart = row === 0 ? mean : rowStart + floorDiv(mean - rowStart, 4);
  }
  return { integers, decisions };
}
