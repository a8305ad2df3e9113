// node packages/bench/fake-quant/search.mjs (after a build): bit widths under one budget, from a search by the score of
// the whole network, from random search with as many trials, and from equal-slope allocation. The network is a model whose
// error is known (each channel's variance, times 4^-bits), seeds 1 to 8. The result is in bits: 1 more halves the
// quantization step everywhere.
import { allocateBits, searchBits, sizeBits } from "@bitdiet/fake-quant";

function source(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function network(seed, layers) {
  const random = source(seed * 7919);
  const channels = Array.from({ length: layers }, () => 4 + Math.floor(random() * 28));
  const weights = channels.map(() => 9 * (1 + Math.floor(random() * 60)));
  const variances = channels.map((count) => {
    const loudest = 4 ** (4 * random() - 2);
    return Array.from({ length: count }, () => loudest * 4 ** (-3 * random())).sort((a, b) => b - a);
  });
  return { channels, weights, variances };
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
console.log(
  "layers trials | uniform | random | searchBits | allocateBits (no trials) | searchBits ms a trial",
);
for (const [layers, trials] of [
  [6, 100],
  [6, 300],
  [20, 300],
  [20, 600],
]) {
  const rows = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => ({ seed, ...network(seed, layers) }));
  const results = [[], [], [], [], []];
  for (const { seed, channels, weights, variances } of rows) {
    const cost = (bits) => sizeBits(bits, weights);
    const uniform = channels.map((count) => new Uint8Array(count).fill(3));
    const budget = cost(uniform);
    const score = (bits) => {
      let error = 0;
      for (const [l, layer] of bits.entries()) {
        for (const [c, b] of layer.entries()) error += weights[l] * variances[l][c] * 4 ** -b;
      }
      return -Math.log2(error) / 2;
    };
    // Random profiles of the same kind, each moved up or down as a whole until it just fits the budget.
    const random = source(seed);
    let best = score(uniform);
    for (let tried = 1; tried < trials; tried++) {
      const profiles = channels.map((count) => {
        const kept = count - Math.round(random() * 0.3 * (count - 1));
        const [top, fall] = [8 * random(), random()];
        return Array.from({ length: count }, (_, c) => (c < kept ? top * (1 - (fall * c) / count) : -99));
      });
      const moved = (by) => profiles.map((p) => p.map((b) => Math.min(8, Math.max(0, Math.round(b + by)))));
      let [low, high] = [-9, 9];
      while (high - low > 1e-3) {
        const middle = (low + high) / 2;
        if (cost(moved(middle)) <= budget) low = middle;
        else high = middle;
      }
      best = Math.max(best, score(moved(low)));
    }
    const start = performance.now();
    const found = await searchBits(channels, score, { trials, seed, importance: variances, cost, budget });
    const milliseconds = (performance.now() - start) / trials;
    const flat = allocateBits(variances.flat(), {
      meanBits: 3,
      weights: channels.flatMap((count, l) => new Array(count).fill(weights[l])),
    });
    let at = 0;
    const allocated = channels.map((count) => flat.subarray(at, (at += count)));
    if (cost(allocated) > budget || cost(found) > budget) throw new Error("over the budget");
    const row = [score(uniform), best, score(found), score(allocated), milliseconds];
    for (const [i, value] of row.entries()) results[i].push(value);
  }
  const origin = mean(results[0]);
  const gain = (list) => `+${(mean(list) - origin).toFixed(2)}`;
  console.log(
    `${layers} ${trials} | 0 | ${gain(results[1])} | ${gain(results[2])} | ${gain(results[3])} | ${mean(results[4]).toFixed(2)}`,
  );
}
