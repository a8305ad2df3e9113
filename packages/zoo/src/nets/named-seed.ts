// One seed for a run, another for each thing in it: what a mask or an initial matrix is depends on its own name and
// not on what was drawn before. Example: namedSeed("classifier.weight", 1) is the same in every run.

/** A seed for the thing called `name`: FNV-1a, started from `seed`, then scrambled; never 0, where xorshift stays. */
export function namedSeed(name: string, seed: number): number {
  let state = (seed ^ 0x811c9dc5) >>> 0;
  for (let i = 0; i < name.length; i++) state = Math.imul(state ^ name.charCodeAt(i), 0x01000193);
  state = Math.imul(state ^ (state >>> 16), 0x7feb352d);
  state = Math.imul(state ^ (state >>> 15), 0x846ca68b);
  return state ^ (state >>> 16) || 1;
}
