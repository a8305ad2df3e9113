/** What the golden streams were made of: integer arithmetic only, the same on every engine. */

/** Numerical Recipes' linear congruential generator; the top bits of each state. */
function uniform(seed: number, size: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 0x10000) * size) >>> 16;
  };
}

/** Geometric: a coin with `heads` of 16 is thrown until it falls the other way. */
function geometric(n: number, heads: number, alphabetSize: number): Uint8Array {
  const coin = uniform(n, 16);
  return Uint8Array.from({ length: n }, () => {
    let symbol = 0;
    while (symbol < alphabetSize - 1 && coin() < heads) symbol++;
    return symbol;
  });
}

export const inputs: Record<string, () => Uint8Array | Uint16Array> = {
  "no symbols": () => new Uint8Array(0),
  "no 16-bit symbols": () => new Uint16Array(0),
  "a thousand zeros": () => new Uint8Array(1000),
  "eight symbols": () => Uint8Array.of(3, 1, 3, 0, 3, 3, 2, 3),
  "bytes of one text": () => Uint8Array.from("the same bytes on every engine, in every release", (c) => c.charCodeAt(0)),
  "all 256 bytes": () => Uint8Array.from({ length: 256 }, (_, i) => i),
  "single symbols": () => geometric(400, 10, 16),
  "zero runs": () => geometric(1500, 2, 16),
  "groups": () => geometric(900, 5, 4).map((symbol, i) => (i & 1 ? symbol : 2)),
  "16-bit symbols": () => Uint16Array.from(geometric(300, 12, 40), (symbol) => 300 * symbol),
};
