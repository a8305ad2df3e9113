import { weightRateModel } from "@bitdiet/cabac";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type {
  CalibrationLayer,
  CalibrationNetwork,
  GradientNetwork,
  LayerParameters,
} from "../../src/networks/network.js";
import { measureSensitivities, quantizeCalibrated } from "../../src/quantize/calibrated.js";
import { factor, solve } from "../../src/quantize/factor.js";
import { quantizeLayer } from "../../src/quantize/quantize-layer.js";
import { fitRow, roundRow } from "../../src/quantize/round-row.js";

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
}

/** Mean of x x^T over inputs whose entries share a common part, the last one always 1. */
function correlatedInputs(
  count: number,
  size: number,
  seed = 1,
): { inputs: Float64Array; gram: Float64Array } {
  const next = random(seed);
  const inputs = new Float64Array(count * size);
  const gram = new Float64Array(size * size);
  for (let i = 0; i < count; i++) {
    const common = next();
    for (let c = 0; c < size - 1; c++) inputs[i * size + c] = common + 0.2 * next() + 0.3;
    inputs[i * size + size - 1] = 1;
    for (let a = 0; a < size; a++)
      for (let b = 0; b < size; b++)
        gram[a * size + b] += (inputs[i * size + a] * inputs[i * size + b]) / count;
  }
  return { inputs, gram };
}

const quadratic = (e: ArrayLike<number>, matrix: Float64Array) => {
  let sum = 0;
  for (let a = 0; a < e.length; a++)
    for (let b = 0; b < e.length; b++) sum += e[a] * matrix[a * e.length + b] * e[b];
  return sum;
};

describe("factor", () => {
  it("splits the quadratic form into costs of errors made up for", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer(), (size, seed) => {
        const next = random(seed);
        const { gram } = correlatedInputs(30, size, seed);
        const factors = factor(gram, size, () => 0.1);
        for (let c = 0; c < size; c++) gram[c * size + c] += 0.1;
        const e = Float64Array.from({ length: size }, next);
        let sum = 0;
        for (let c = 0; c < size; c++) {
          let left = e[c];
          for (let k = 0; k < c; k++) left += factors.feedback[c * size + k] * e[k];
          sum += factors.cost[c] * left * left;
        }
        expect(sum).toBeCloseTo(quadratic(e, gram), 9);
        const rows = Float64Array.from({ length: 2 * size }, next);
        const x = rows.slice();
        solve(factors, x);
        for (let row = 0; row < 2; row++)
          for (let a = 0; a < size; a++) {
            let product = 0;
            for (let b = 0; b < size; b++) product += gram[a * size + b] * x[row * size + b];
            expect(product).toBeCloseTo(rows[row * size + a], 8);
          }
      }),
    );
  });

  it("gives the factors of the worked example and rejects a matrix that has none", () => {
    const { feedback, cost } = factor(Float64Array.of(2, 1, 1, 1), 2, () => 0);
    expect([...feedback]).toEqual([0, 0, 1, 0]);
    expect([...cost]).toEqual([1, 1]);
    expect(() => factor(Float64Array.of(1, 2, 2, 1), 2, () => 0)).toThrow(RangeError);
  });
});

describe("roundRow", () => {
  it("changes the output several times less than rounding to the nearest, at the same step", () => {
    const size = 41;
    const { gram } = correlatedInputs(500, size);
    const next = random(5);
    const step = 0.5;
    const inputs = factor(gram, size, () => 1e-9);
    const model = weightRateModel({ rowLength: size - 1 });
    let [withFeedback, nearest] = [0, 0];
    for (let row = 0; row < 20; row++) {
      const wanted = Float64Array.from({ length: size }, next);
      const loss = (chosen: ArrayLike<number>) => {
        const e = Float64Array.from(wanted, (w, c) => (c < size - 1 ? w - step * chosen[c] : 0));
        // With the best bias.
        e[size - 1] = -e.reduce((sum, error, c) => sum + gram[(size - 1) * size + c] * error, 0);
        return quadratic(e, gram);
      };
      const levels = new Int32Array(size - 1);
      roundRow(wanted, inputs, { step, rate: 0, model }, levels);
      withFeedback += loss(levels);
      nearest += loss(Array.from(wanted, (w) => Math.round(w / step)));
    }
    expect(withFeedback).toBeLessThan(0.3 * nearest);
  });

  it("rounds to the nearest where inputs are independent", () => {
    const size = 9;
    const identity = Float64Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
    const wanted = Float64Array.from({ length: size }, random(3));
    const levels = new Int32Array(size - 1);
    const model = weightRateModel({ rowLength: size - 1 });
    roundRow(
      wanted,
      factor(identity, size, () => 0),
      { step: 0.25, rate: 0, model },
      levels,
    );
    expect([...levels]).toEqual(Array.from(wanted.subarray(0, size - 1), (w) => Math.round(w / 0.25)));
  });
});

describe("fitRow", () => {
  it("is the linear regression of the wanted outputs on the levels' outputs", () => {
    const size = 7;
    const { inputs, gram } = correlatedInputs(50, size);
    const next = random(9);
    const levels = Int32Array.of(1, -2, 0, 3, 1, 0);
    const wanted = Float64Array.from({ length: size }, (_, c) => 0.3 * (levels[c] ?? 1) + 0.1 * next());
    const means = gram.slice(6 * size, 6 * size + 6);
    const covariance = Float64Array.from({ length: 36 }, (_, i) => {
      const [a, b] = [Math.floor(i / 6), i % 6];
      return gram[a * size + b] - means[a] * means[b];
    });
    const fit = fitRow(wanted, levels, { covariance, means });
    // Regression straight from the samples.
    const x: number[] = [];
    const y: number[] = [];
    for (let i = 0; i < 50; i++) {
      let [a, b] = [0, 0];
      for (let c = 0; c < size; c++) {
        a += (levels[c] ?? 0) * inputs[i * size + c];
        b += wanted[c] * inputs[i * size + c];
      }
      x.push(a);
      y.push(b);
    }
    const mean = (v: number[]) => v.reduce((s, u) => s + u, 0) / v.length;
    const [mx, my] = [mean(x), mean(y)];
    const slope = mean(x.map((a, i) => (a - mx) * (y[i] - my))) / mean(x.map((a) => (a - mx) ** 2));
    expect(fit.step).toBeCloseTo(slope, 9);
    expect(fit.biasAt(slope)).toBeCloseTo(my - slope * mx, 9);
    expect(fitRow(wanted, new Int32Array(6), { covariance, means }).step).toBe(0);
  });
});

/** Two dense layers with a ReLU between, in plain loops: what a caller has to provide. */
function smallNetwork(
  seed: number,
): GradientNetwork & { outputsOf(layers: readonly LayerParameters[]): Float32Array } {
  const next = random(seed);
  const sizes = [16, 24, 5];
  const images = 200;
  const basis = Float32Array.from({ length: 6 * sizes[0] }, next);
  const x = new Float32Array(images * sizes[0]); // in a space of 6 dimensions, nearly
  for (let i = 0; i < images; i++) {
    const hidden = Array.from({ length: 6 }, next);
    for (let c = 0; c < sizes[0]; c++)
      x[i * sizes[0] + c] =
        0.05 * next() + hidden.reduce((sum, h, k) => sum + h * basis[k * sizes[0] + c], 0);
  }
  const layers: CalibrationLayer[] = [0, 1].map((l) => ({
    name: `dense${l}`,
    rows: sizes[l + 1],
    columns: sizes[l],
    kernel: [1, 1],
    weights: Float32Array.from({ length: sizes[l] * sizes[l + 1] }, next),
    biases: Float32Array.from({ length: sizes[l + 1] }, next),
  }));
  const apply = (values: Float32Array, { weights, biases }: LayerParameters, relu: boolean) => {
    const rows = biases.length;
    const columns = weights.length / rows;
    const made = new Float32Array((values.length / columns) * rows);
    for (let i = 0; i < values.length / columns; i++)
      for (let r = 0; r < rows; r++) {
        let sum = biases[r];
        for (let c = 0; c < columns; c++) sum += weights[r * columns + c] * values[i * columns + c];
        made[i * rows + r] = relu ? Math.max(0, sum) : sum;
      }
    return made;
  };
  const outputsOf = (p: readonly LayerParameters[]) => apply(apply(x, p[0], true), p[1], false);
  return {
    layers,
    outputsOf,
    async walk(replace) {
      let exact = x;
      let changed = x;
      for (const [l, layer] of layers.entries()) {
        const { rows, columns } = layer;
        const size = columns + 1;
        const gram = new Float64Array(size * size);
        const residual = new Float64Array(rows * size);
        const float = apply(exact, layer, false);
        const now = apply(changed, layer, false);
        for (let i = 0; i < images; i++) {
          const input = [...changed.subarray(i * columns, (i + 1) * columns), 1];
          for (let a = 0; a < size; a++) {
            for (let b = 0; b < size; b++) gram[a * size + b] += (input[a] * input[b]) / images;
            for (let r = 0; r < rows; r++)
              residual[r * size + a] += ((float[i * rows + r] - now[i * rows + r]) * input[a]) / images;
          }
        }
        const parameters = replace(l, { gram, residual });
        exact = apply(exact, layer, l === 0);
        changed = apply(changed, parameters, l === 0);
      }
      return changed;
    },
    async gradients(visit) {
      // Central differences of a random projection of the outputs would do; a constant one serves these tests.
      visit(layers.map(({ weights }) => Float32Array.from(weights, () => next())));
    },
  };
}

describe("quantizeCalibrated", () => {
  const error = (a: Float32Array, b: Float32Array) =>
    a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0) / a.length;
  const sensitivitiesOf = ({ layers }: CalibrationNetwork) =>
    layers.map(({ rows, columns }) =>
      Float64Array.from({ length: rows * rows }, (_, i) => (i % (rows + 1) === 0 ? columns : 0)),
    );

  it("returns weights that are exactly what a decoder gets, and the network's outputs with them", async () => {
    const network = smallNetwork(1);
    const { layers, outputs } = await quantizeCalibrated(network, sensitivitiesOf(network), 1e-4);
    for (const [l, { levels, steps, weights, biases, biasLevels, biasStep }] of layers.entries()) {
      const { columns } = network.layers[l];
      expect(weights).toEqual(
        Float32Array.from(levels, (level, i) => level * steps[Math.floor(i / columns)]),
      );
      expect(biases).toEqual(Float32Array.from(biasLevels, (level) => level * biasStep));
    }
    expect(outputs).toEqual(network.outputsOf(layers));
  });

  it("comes closer to the float outputs than layers quantized one by one, and the closer the smaller lambda", async () => {
    let [inOrder, alone] = [0, 0];
    for (const seed of [1, 2, 3, 4, 5]) {
      const network = smallNetwork(seed);
      const sensitivities = sensitivitiesOf(network);
      const float = network.outputsOf(network.layers);
      const { layers, outputs } = await quantizeCalibrated(network, sensitivities, 0.02);
      const blind: LayerParameters[] = network.layers.map((layer) => {
        const size = layer.columns + 1;
        const gram = Float64Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
        const made = quantizeLayer(
          layer,
          { gram, residual: new Float64Array(layer.rows * size) },
          sensitivities[0].length === layer.rows ** 2 ? sensitivities[0] : sensitivities[1],
          0.02,
        );
        return made;
      });
      inOrder += error(float, outputs);
      alone += error(float, network.outputsOf(blind));
      const fine = await quantizeCalibrated(network, sensitivities, 0.0002);
      expect(error(float, fine.outputs)).toBeLessThan(0.2 * error(float, outputs));
      const magnitude = (made: typeof layers) =>
        made.reduce((sum, { levels }) => sum + levels.reduce((s, v) => s + Math.abs(v), 0), 0);
      expect(magnitude(fine.layers)).toBeGreaterThan(3 * magnitude(layers));
    }
    expect(inOrder).toBeLessThan(0.7 * alone);
  });

  it("takes a diagonal alone for a matrix with nothing else", () => {
    const network = smallNetwork(3);
    const layer = network.layers[1];
    const { gram } = correlatedInputs(100, layer.columns + 1);
    const residual = new Float64Array(layer.rows * (layer.columns + 1));
    const diagonal = Float64Array.from({ length: layer.rows }, (_, r) => 1 + r);
    const full = Float64Array.from({ length: layer.rows ** 2 }, (_, i) =>
      i % (layer.rows + 1) === 0 ? 1 + Math.floor(i / layer.rows) : 0,
    );
    expect(quantizeLayer(layer, { gram, residual }, diagonal, 0.01)).toEqual(
      quantizeLayer(layer, { gram, residual }, full, 0.01),
    );
    expect(() => quantizeLayer(layer, { gram, residual }, diagonal.slice(1), 0.01)).toThrow(
      "sensitivity: expected 5 numbers",
    );
  });

  it("rounds the rows of each group for the inputs of that group", () => {
    const [groups, perGroup, columns, size] = [4, 3, 16, 17];
    const next = random(9);
    const layer: CalibrationLayer = {
      name: "grouped",
      rows: groups * perGroup,
      columns,
      groups,
      kernel: [4, 4],
      weights: Float32Array.from({ length: groups * perGroup * columns }, next),
      biases: new Float32Array(groups * perGroup),
    };
    const grams = Array.from({ length: groups }, (_, g) => correlatedInputs(200, size, 20 + 7 * g).gram);
    // Inputs of the odd groups alternate in sign, so that what suits one group does not suit its neighbour.
    for (let g = 1; g < groups; g += 2)
      grams[g] = grams[g].map((v, i) => ((Math.floor(i / size) + (i % size)) % 2 === 0 ? v : -v));
    const gram = Float64Array.from(grams.flatMap((own) => [...own]));
    const turned = Float64Array.from([...grams.slice(1), grams[0]].flatMap((own) => [...own]));
    const residual = new Float64Array(layer.rows * size);
    const lossOf = (statistics: Float64Array) => {
      const made = quantizeLayer(layer, { gram: statistics, residual }, new Float64Array(12).fill(16), 0.01);
      let loss = 0;
      for (let r = 0; r < layer.rows; r++) {
        const e = Float64Array.from({ length: size }, (_, c) =>
          c < columns ? layer.weights[r * columns + c] - made.weights[r * columns + c] : -made.biases[r],
        );
        loss += quadratic(e, grams[Math.floor(r / perGroup)]);
      }
      return loss;
    };
    expect(lossOf(gram)).toBeLessThan(0.3 * lossOf(turned));
  });

  it("survives inputs that are always 0 and outputs on which nothing depends", async () => {
    const layer: CalibrationLayer = {
      name: "dead",
      rows: 2,
      columns: 3,
      kernel: [1, 1],
      weights: Float32Array.of(1, 2, 3, 4, 5, 6),
      biases: Float32Array.of(1, -1),
    };
    const gram = new Float64Array(16);
    gram[15] = 1;
    const made = quantizeLayer(layer, { gram, residual: new Float64Array(8) }, new Float64Array(4), 1e-6);
    expect([...made.weights, ...made.biases].every(Number.isFinite)).toBe(true);
  });

  it("keeps the weights of a channel that the calibration inputs left at 0: others may move it", async () => {
    const [columns, size] = [9, 10];
    const next = random(3);
    const layer: CalibrationLayer = {
      name: "depthwise",
      rows: 4,
      columns,
      groups: 4,
      kernel: [3, 3],
      weights: Float32Array.from({ length: 4 * columns }, next),
      biases: Float32Array.of(1, 2, 3, 4),
    };
    const gram = Float64Array.from(
      Array.from({ length: 4 }, (_, g) => [...correlatedInputs(200, size, g).gram]).flat(),
    );
    gram.fill(0, 3 * size ** 2, 4 * size ** 2 - 1);
    const sensitivity = Float64Array.of(1, 1, 1, 0);
    const made = quantizeLayer(layer, { gram, residual: new Float64Array(4 * size) }, sensitivity, 1e-9);
    for (let i = 0; i < 4 * columns; i++) expect(made.weights[i]).toBeCloseTo(layer.weights[i], 2);
    expect(made.biases[3]).toBeCloseTo(4, 2);
  });

  it("rejects a lambda that is no price", async () => {
    const network = smallNetwork(1);
    for (const lambda of [0, -1, Number.NaN, Infinity])
      await expect(quantizeCalibrated(network, sensitivitiesOf(network), lambda)).rejects.toThrow(/lambda/);
  });
});

describe("measureSensitivities", () => {
  /** A layer of two rows and one column, and these gradients of it. */
  const measured = async (...gradients: number[][]) => {
    const [sensitivity] = await measureSensitivities({
      layers: [
        {
          name: "two",
          rows: 2,
          columns: 1,
          kernel: [1, 1],
          weights: new Float32Array(2),
          biases: new Float32Array(2),
        },
      ],
      walk: async () => new Float32Array(),
      gradients: async (visit) => {
        for (const gradient of gradients) visit([Float32Array.from(gradient)]);
      },
    });
    return [...sensitivity];
  };

  it("rows that move together in every gradient are taken at their word", async () => {
    expect(await measured([1, 2], [1, 2], [-1, -2])).toEqual([1, 2, 2, 4]);
  });

  it("rows that move together no more often than chance has it do not make up for each other", async () => {
    // Products 1, 1 and -1: a mean of 1/3, whose own variance is 4/9.
    expect(await measured([1, 1], [1, 1], [1, -1])).toEqual([1, 0, 0, 1]);
  });
});
