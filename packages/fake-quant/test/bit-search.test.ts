import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { followGradient, layerBits, lowerToBudget } from "../src/bit-search.js";
import { allocateBits, bitsFromAction, keptWeights, searchBits, sizeBits } from "../src/index.js";
import { normal, uniform } from "./setup.js";

const arrays = (bits: ArrayLike<ArrayLike<number>>) => Array.from(bits, (layer) => Array.from(layer));
const byImportance = (values: number[]) => values.map((_, c) => c).sort((a, b) => values[b] - values[a]);

/** A network whose error is known: each channel's weights have a variance, and rounding leaves variance * 4^-bits. */
function toyNetwork(seed: number, layers: number) {
  const random = uniform(seed);
  const channels = Array.from({ length: layers }, () => 4 + Math.floor(random() * 28));
  const weights = channels.map(() => 9 * (1 + Math.floor(random() * 60)));
  const variances = channels.map((count) => {
    const loudest = 4 ** (4 * random() - 2);
    return Array.from({ length: count }, () => loudest * 4 ** (-3 * random()));
  });
  const cost = (bits: ArrayLike<number>[]) => sizeBits(bits, weights);
  const budget = cost(channels.map((count) => new Uint8Array(count).fill(3)));
  /** Higher is better; 1 is one bit everywhere. */
  const score = (bits: ArrayLike<number>[]) => {
    let error = 0;
    for (const [l, layer] of bits.entries()) {
      for (let c = 0; c < layer.length; c++) error += weights[l] * variances[l][c] * 4 ** -layer[c];
    }
    return -Math.log2(error) / 2;
  };
  return { channels, weights, variances, cost, budget, score };
}

describe("searchBits", () => {
  it("finds the best of all 15,625 allocations of a small network, pruned channels included", async () => {
    const variances = [
      [0.01, 64, 16],
      [1, 0.01, 4],
    ];
    const weights = [100, 200];
    const cost = (bits: ArrayLike<number>[]) => sizeBits(bits, weights, { maxBits: 4 });
    const score = (bits: ArrayLike<number>[]) =>
      -variances
        .flatMap((layer, l) => layer.map((v, c) => weights[l] * v * 4 ** -bits[l][c]))
        .reduce((a, b) => a + b);
    const budget = 1600;
    let best = Number.NEGATIVE_INFINITY;
    for (let code = 0; code < 5 ** 6; code++) {
      const digit = (i: number) => Math.floor(code / 5 ** i) % 5;
      const bits = [0, 1].map((l) => [0, 1, 2].map((c) => digit(3 * l + c)));
      if (cost(bits) <= budget) best = Math.max(best, score(bits));
    }
    for (const seed of [1, 2, 3, 4, 5]) {
      const options = { trials: 150, seed, importance: variances, maxBits: 4, cost, budget };
      const found = await searchBits([3, 3], score, options);
      expect(cost(found)).toBeLessThanOrEqual(budget);
      expect(score(found)).toBe(best);
      expect([found[0][0], found[1][1]]).toEqual([0, 0]);
    }
  });

  it("beats random search at equal trials, from anywhere and around the same start", async () => {
    const trials = 300;
    let wins = 0;
    for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const { channels, variances, cost, budget, score } = toyNetwork(seed, 6);
      const found = await searchBits(channels, score, { trials, seed, importance: variances, cost, budget });
      const orders = variances.map(byImportance);
      const random = uniform(1000 + seed);
      const noise = normal(3 * 6 * trials, 2000 + seed, 0, 0.1);
      const bestOf = (actions: (trial: number, layer: number) => number[]) => {
        let best = Number.NEGATIVE_INFINITY;
        for (let trial = 0; trial < trials; trial++) {
          const bits = orders.map((order, l) => layerBits(actions(trial, l), order, 8));
          lowerToBudget(bits, orders, cost, budget);
          best = Math.max(best, score(bits));
        }
        return best;
      };
      const anywhere = bestOf(() => [random(), random(), random()]);
      const nearStart = bestOf((trial, l) => {
        const at = 3 * (6 * trial + l);
        return [noise[at], 0.5 + noise[at + 1], noise[at + 2]];
      });
      expect(score(found)).toBeGreaterThan(anywhere + 0.3);
      if (score(found) > nearStart) wins++;
    }
    expect(wins).toBeGreaterThanOrEqual(7);
  });

  it("does not reach what equal-slope allocation computes where distortions are known", async () => {
    const { channels, weights, variances, cost, budget, score } = toyNetwork(1, 6);
    const found = await searchBits(channels, score, {
      trials: 300,
      seed: 1,
      importance: variances,
      cost,
      budget,
    });
    const perWeight = variances.flatMap((layer, l) => layer.map(() => weights[l]));
    const flat = allocateBits(variances.flat(), { meanBits: 3, weights: perWeight });
    let at = 0;
    const allocated = channels.map((count) => flat.subarray(at, (at += count)));
    expect(cost(allocated)).toBeLessThanOrEqual(budget);
    expect(score(allocated)).toBeGreaterThan(score(found));
  });

  it("gives the same result for the same seed, with scores that come later too, and another for another seed", async () => {
    const { channels, variances, cost, budget, score } = toyNetwork(3, 4);
    const search = (seed: number, evaluate: (bits: Uint8Array[]) => number | Promise<number> = score) =>
      searchBits(channels, evaluate, { trials: 60, seed, importance: variances, cost, budget });
    const first = arrays(await search(7));
    expect(arrays(await search(7, async (bits) => score(bits)))).toEqual(first);
    expect(arrays(await search(8))).not.toEqual(first);
  });

  it("evaluates exactly `trials` allocations within the budget, the uniform start first, and returns the best", async () => {
    for (const trials of [1, 2, 13, 40]) {
      const { channels, weights, cost, score } = toyNetwork(5, 3);
      const budget = cost(channels.map((count) => new Uint8Array(count).fill(4)));
      const seen: { bits: number[][]; score: number }[] = [];
      const found = await searchBits(
        channels,
        (bits) => {
          seen.push({ bits: arrays(bits), score: score(bits) });
          for (const layer of bits) layer.fill(8); // the caller's own copies
          return seen[seen.length - 1].score;
        },
        { trials, seed: 1, cost: (bits) => sizeBits(bits, weights), budget },
      );
      expect(seen.length).toBe(trials);
      expect(seen[0].bits.flat().every((b) => b === 4)).toBe(true);
      for (const { bits } of seen) {
        expect(cost(bits)).toBeLessThanOrEqual(budget);
        for (const layer of bits) expect(layer[0]).toBeGreaterThanOrEqual(1);
      }
      const best = Math.max(...seen.map(({ score }) => score));
      expect(arrays(found)).toEqual(seen.find(({ score }) => score === best)?.bits);
    }
  });

  it("finds out by the score alone that a layer is worth pruning", async () => {
    // The second layer is free to go; without a budget, size is in the score.
    const score = ([first, second]: Uint8Array[]) =>
      -first.reduce((sum, b) => sum + 4 ** -b, 0) - second.reduce((sum, b) => sum + b, 0) / 100;
    const [first, second] = await searchBits([16, 16], score, { trials: 300, seed: 1 });
    expect(second.reduce((a, b) => a + b, 0)).toBeLessThan(6);
    expect(first.reduce((a, b) => a + b, 0)).toBeGreaterThan(64);
  });

  it("names the argument that is wrong", async () => {
    const score = () => 0;
    const good = { trials: 1, seed: 1 };
    const cost = (bits: Uint8Array[]) => sizeBits(bits, [10, 10]);
    const cases: [Promise<unknown>, string][] = [
      [searchBits([2, 2], score, { ...good, trials: 0 }), "trials: expected a positive integer, got 0"],
      [searchBits([2, 2], score, { ...good, seed: 0.5 }), "seed: expected an integer, got 0.5"],
      [
        searchBits([2, 2], score, { ...good, maxBits: 17 }),
        "maxBits: expected an integer from 1 to 16, got 17",
      ],
      [searchBits([], score, good), "channelsPerLayer: expected at least one layer, got none"],
      [searchBits([2, 0], score, good), "channelsPerLayer[1]: expected a positive integer, got 0"],
      [
        searchBits([2, 2], score, { ...good, importance: [[1, 2]] }),
        "importance: expected 2 lists, one a layer, got 1",
      ],
      [searchBits([2], score, { ...good, importance: [[1]] }), "importance[0]: expected 2 numbers, got 1"],
      [
        searchBits([2], score, { ...good, importance: [[1, Number.NaN]] }),
        "importance[0][1]: expected a finite number, got NaN",
      ],
      [searchBits([2, 2], score, { ...good, cost }), "cost, budget: expected both or neither, got only cost"],
      [searchBits([2, 2], () => Number.NaN, good), "evaluate: expected a finite score, got NaN"],
      [
        searchBits([2, 2], score, { ...good, cost, budget: 99 }),
        "budget: expected at least 100, the cost of one channel of 1 bit in each layer, got 99",
      ],
    ];
    for (const [search, message] of cases) await expect(search).rejects.toThrow(message);
  });
});

describe("followGradient", () => {
  it("closes in on the best actions ever more finely, as SNES does, and stops at the ends of the interval", () => {
    const optimum = [0.3, 0.75, 0.5, 0.61, -0.2, 1.2];
    const mean = new Float64Array(6).fill(0.5);
    const deviation = new Float64Array(6).fill(0.1);
    const noises = normal(6 * 10 * 150, 3);
    for (let generation = 0; generation < 150; generation++) {
      const samples = Array.from({ length: 10 }, (_, i) => {
        const at = 6 * (10 * generation + i);
        const noise = Float64Array.from(noises.subarray(at, at + 6));
        let score = 0;
        for (const [j, best] of optimum.entries()) {
          const action = Math.min(1, Math.max(0, mean[j] + deviation[j] * noise[j]));
          score -= (action - best) ** 2;
        }
        return { noise, score };
      });
      followGradient(mean, deviation, samples);
    }
    for (let j = 0; j < 4; j++) {
      expect(Math.abs(mean[j] - optimum[j])).toBeLessThan(0.01);
      expect(deviation[j]).toBeLessThan(0.02);
    }
    expect([mean[4], mean[5]]).toEqual([0, 1]);
  });
});

describe("the mapping from actions to widths", () => {
  it("is HAQ's, clamped: 0, .05, .5, .99, 1 become 1 1 4 8 8 in 1 .. 8, and 0 0 4 8 8 in 0 .. 8", () => {
    const actions = [0, 0.05, 0.5, 0.99, 1];
    expect(actions.map((a) => bitsFromAction(a, 1, 8))).toEqual([1, 1, 4, 8, 8]);
    expect(actions.map((a) => bitsFromAction(a, 0, 8))).toEqual([0, 0, 4, 8, 8]);
  });

  it("never leaves the interval and never falls, and gives each width an equal part", () => {
    fc.assert(
      fc.property(
        fc.double({ min: -1, max: 2, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (a, more) => {
          const width = bitsFromAction(a, 2, 7);
          expect(Number.isInteger(width) && width >= 2 && width <= 7).toBe(true);
          expect(bitsFromAction(a + more, 2, 7)).toBeGreaterThanOrEqual(width);
        },
      ),
    );
    const counts = new Array(9).fill(0);
    for (let i = 0; i < 8000; i++) counts[bitsFromAction((i + 0.5) / 8000, 1, 8)]++;
    expect(counts).toEqual([0, ...new Array(8).fill(1000)]);
  });

  it("gives 5 channels 4 3 2 0 0 for actions [0.5, 0.5, 0.5], in order of importance", () => {
    expect([...layerBits([0.5, 0.5, 0.5], [0, 1, 2, 3, 4], 8)]).toEqual([4, 3, 2, 0, 0]);
    expect([...layerBits([0.5, 0.5, 0.5], [3, 1, 4, 0, 2], 8)]).toEqual([0, 3, 0, 4, 2]);
  });

  it("keeps the most important channel, whatever the actions", () => {
    expect([...layerBits([1, 0, 1], [1, 0], 8)]).toEqual([0, 1]);
    expect([...layerBits([9, 9, 9], [0], 8)]).toEqual([8]);
    expect([...layerBits([-9, -9, -9], [0, 1], 8)]).toEqual([1, 1]);
  });
});

describe("lowerToBudget", () => {
  const orders = [
    [0, 1],
    [1, 0, 2],
  ];

  it("takes a bit from the last layer first, the least important channels first, as many as needed", () => {
    const lowered = (budget: number) => {
      const bits = [Uint8Array.of(4, 3), Uint8Array.of(3, 4, 1)];
      lowerToBudget(
        bits,
        orders,
        (b) =>
          arrays(b)
            .flat()
            .reduce((x, y) => x + y, 0),
        budget,
      );
      return arrays(bits);
    };
    expect(lowered(15)).toEqual([
      [4, 3],
      [3, 4, 1],
    ]);
    expect(lowered(14)).toEqual([
      [4, 3],
      [3, 4, 0],
    ]);
    expect(lowered(13)).toEqual([
      [4, 3],
      [2, 4, 0],
    ]);
    expect(lowered(12)).toEqual([
      [4, 3],
      [2, 3, 0],
    ]);
    expect(lowered(11)).toEqual([
      [4, 2],
      [2, 3, 0],
    ]);
    expect(lowered(9)).toEqual([
      [3, 2],
      [1, 3, 0],
    ]);
    expect(lowered(2)).toEqual([
      [1, 0],
      [0, 1, 0],
    ]);
  });

  it("ends within any budget that one channel a layer can keep, and only ever lowers", () => {
    const width = fc.integer({ min: 0, max: 8 });
    fc.assert(
      fc.property(
        fc.tuple(width, width),
        fc.tuple(width, width, width),
        fc.integer({ min: 75, max: 500 }),
        (a, b, budget) => {
          const start = [
            [Math.max(1, a[0]), a[1]],
            [b[0], Math.max(1, b[1]), b[2]],
          ];
          const bits = start.map((layer) => Uint8Array.from(layer));
          const cost = (bits: ArrayLike<number>[]) => sizeBits(bits, [7, 11], { inputs: [undefined, 0] });
          lowerToBudget(
            bits,
            orders,
            cost,
            Math.max(
              budget,
              cost([
                [1, 0],
                [0, 1, 0],
              ]),
            ),
          );
          expect(cost(bits)).toBeLessThanOrEqual(
            Math.max(
              budget,
              cost([
                [1, 0],
                [0, 1, 0],
              ]),
            ),
          );
          for (const [l, layer] of start.entries()) {
            for (const [c, b] of layer.entries()) expect(bits[l][c]).toBeLessThanOrEqual(b);
          }
          expect([bits[0][0] > 0, bits[1][1] > 0]).toEqual([true, true]);
        },
      ),
    );
  });
});

describe("sizeBits and keptWeights", () => {
  it("count weights, widths and scales: 229 bits for two layers of two channels of 9 weights", () => {
    expect(
      sizeBits(
        [
          [4, 0],
          [8, 1],
        ],
        [9, 9],
      ),
    ).toBe(4 * 9 + 9 * 9 + 4 * 4 + 3 * 32);
    expect(
      sizeBits(
        [
          [4, 0],
          [8, 1],
        ],
        [9, 9],
        { maxBits: 15 },
      ),
    ).toBe(229);
    expect(
      sizeBits(
        [
          [4, 0],
          [8, 1],
        ],
        [9, 9],
        { maxBits: 16 },
      ),
    ).toBe(233);
    expect(sizeBits([[4, 0]], [9], { maxBits: 7 })).toBe(36 + 2 * 3 + 32);
  });

  it("leave out the weights that read a pruned channel", () => {
    const bits = [
      [4, 0, 2, 0],
      [8, 8],
      [0, 3],
    ];
    const weights = [27, 36, 18]; // 3 x 3 kernels on 3, 4 and 2 channels
    expect(keptWeights(bits, weights)).toEqual([54, 72, 18]);
    expect(keptWeights(bits, weights, [undefined, 0, 1])).toEqual([54, 36, 18]);
    const side = 8 * 4 + 5 * 32;
    expect(sizeBits(bits, weights, { inputs: [undefined, 0, 1] })).toBe(6 * 27 + 16 * 18 + 3 * 18 + side);
    expect(
      keptWeights(
        [
          [0, 0],
          [8, 8],
        ],
        [9, 18],
        [undefined, 0],
      ),
    ).toEqual([0, 0]);
  });

  it("name the argument that is wrong", () => {
    expect(() => sizeBits([[1], [1]], [9])).toThrow(
      "weightsPerChannel: expected 2 numbers, one a layer, got 1",
    );
    expect(() => sizeBits([[1], [1]], [9, 9], { inputs: [0, 0] })).toThrow(
      "inputs[0]: expected the index of another layer, got 0",
    );
    expect(() => keptWeights([[1], [1]], [9, 9], [undefined, 2])).toThrow(RangeError);
    expect(() => sizeBits([[1]], [9], { maxBits: 0 })).toThrow(
      "maxBits: expected an integer from 1 to 16, got 0",
    );
  });
});
