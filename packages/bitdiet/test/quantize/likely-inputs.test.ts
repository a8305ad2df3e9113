import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { factor } from "../../src/quantize/factor.js";
import { likelyInputs } from "../../src/quantize/likely-inputs.js";
import { quantizeWeights } from "../../src/quantize/weights.js";

/** The moments of the module's first comment, written out for a whole row. */
function wholeMoments(kernels: number, height: number, width: number): Float64Array {
  const places = height * width;
  const size = kernels * places;
  return Float64Array.from({ length: size * size }, (_, i) => {
    const [a, b] = [Math.floor(i / size), i % size];
    if (Math.floor(a / places) !== Math.floor(b / places)) return 0.3;
    const [p, q] = [a % places, b % places];
    const [down, along] = [Math.floor(p / width) - Math.floor(q / width), (p % width) - (q % width)];
    return 0.3 + 0.7 * 0.8 ** Math.hypot(down, along) + (a === b ? 0.05 : 0);
  });
}

/** e H e^T */
function cost(errors: ArrayLike<number>, moments: Float64Array): number {
  const size = errors.length;
  let sum = 0;
  for (let a = 0; a < size; a++)
    for (let b = 0; b < size; b++) sum += errors[a] * moments[a * size + b] * errors[b];
  return sum;
}

const rowsOfKernels = fc.record({
  kernels: fc.integer({ min: 1, max: 6 }),
  height: fc.integer({ min: 1, max: 3 }),
  width: fc.integer({ min: 1, max: 4 }),
  seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
});

function noise(count: number, seed: number): Float32Array {
  let state = seed;
  const uniform = () => (state = (state * 48271) % 2147483647) / 2147483647;
  for (let i = 0; i < 16; i++) uniform(); // small seeds begin with small numbers
  return Float32Array.from({ length: count }, () => uniform() + uniform() + uniform() - 1.5);
}

describe("likelyInputs", () => {
  it("factor the whole row's moments, kernel by kernel", () => {
    fc.assert(
      fc.property(rowsOfKernels, ({ kernels, height, width }) => {
        const [places, size] = [height * width, kernels * height * width];
        const { cost, feedback } = factor(wholeMoments(kernels, height, width), size, () => 0);
        const likely = likelyInputs(kernels, [height, width]);
        const logs = cost.reduce((sum, each) => sum + Math.log(each), 0);
        expect(Math.log(likely.cost)).toBeCloseTo(logs / size, 9);
        likely.kernels.forEach((own, j) => {
          for (let p = 0; p < places; p++) {
            const c = j * places + p;
            expect(own.cost[p + 1]).toBeCloseTo(cost[c], 9);
            // All weights of earlier kernels have the same share: that of their sum.
            for (let k = 0; k < c; k++) {
              const entry = Math.max(0, k - j * places + 1);
              expect(own.feedback[(p + 1) * own.size + entry]).toBeCloseTo(feedback[c * size + k], 9);
            }
          }
        });
      }),
      { numRuns: 40 },
    );
  });

  it("make rounding cost less where inputs are so, at the same steps", () => {
    fc.assert(
      fc.property(rowsOfKernels, ({ height, width, seed }) => {
        const [rows, kernels] = [16, 8];
        const columns = kernels * height * width;
        const values = noise(rows * columns, seed);
        const moments = wholeMoments(kernels, height, width);
        const shape = [rows, kernels, height, width];
        const { integers, steps } = quantizeWeights({ values, shape, axis: 0 }, 5, likelyInputs)!;
        let [fedBack, nearest] = [0, 0];
        for (let row = 0; row < rows; row++) {
          const own = values.subarray(row * columns, (row + 1) * columns);
          const chosen = integers.subarray(row * columns, (row + 1) * columns);
          fedBack += cost(
            own.map((value, i) => value - steps[row] * chosen[i]),
            moments,
          );
          nearest += cost(
            own.map((value) => value - steps[row] * Math.round(value / steps[row])),
            moments,
          );
        }
        expect(fedBack).toBeLessThan(nearest);
      }),
      { numRuns: 40 },
    );
  });

  it("see no neighbours under kernels that would take too long", () => {
    for (const [kernels, side] of [
      [512, 15],
      [1, 64],
    ]) {
      const { kernels: all } = likelyInputs(kernels, [side, side]);
      expect(all).toHaveLength(kernels * side * side);
      expect(all[0].size).toBe(2);
    }
    expect(likelyInputs(512, [7, 7]).kernels[0].size).toBe(50);
  });

  it("of one weight have nothing to make up for", () => {
    const { kernels, cost } = likelyInputs(1, [1, 1]);
    expect(kernels).toHaveLength(1);
    expect(cost).toBeCloseTo(1.05);
  });
});
