// A network whose filters are coefficients times bases, in blocks: what each block costs at each width, which widths a slope
// buys, and the way to bytes and back. The shared part of Transform Quantization's runs (Young et al., arXiv 2009.01174).
// Example: a filter [3, 3, 16, 32] has 8 blocks of 2 components, 576 coefficients each, and as many of 2 rows of the basis.

import type { Parameters } from "@bitdiet/compression-aware";
import { affineQuantizer, bitsAtSlope } from "@bitdiet/fake-quant";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { startProgress } from "@bitdiet/zoo/runner/progress";
import * as tf from "@tensorflow/tfjs-core";
import type { QuantizedTensor } from "bitdiet";
import { outputGradients } from "../sensitivity.js";
import { calibrationImages, type Testbed } from "../testbed.js";
import {
  type Block,
  type BlockGrid,
  bestGrid,
  blockIntegers,
  blockValues,
  MAX_BITS,
  type StoredBlock,
  stepOf,
  storedBlock,
  twosComplement,
} from "./blocks.js";
import {
  type Factors,
  factorize,
  multiply,
  type TransformOf,
  toFilter,
  toVectors,
  type Vectors,
  vectorsOf,
} from "./transformed-weights.js";

/** Components of each filter are in at most this many blocks. */
const BLOCKS = 8;

export interface FactoredFilter {
  name: string;
  shape: number[];
  vectors: Vectors;
  factors: Factors;
  /** What a squared error in each entry of the factors costs at the outputs. */
  curvature: Factors;
  /** Components a block. */
  components: number;
}

/** Splits every filter and matrix of the float network. @param axis of filters; the fewer channels unless given */
export function factorNetwork(
  testbed: Testbed,
  transformOf: TransformOf,
  axis?: Vectors["axis"],
): FactoredFilter[] {
  return Object.entries(outputGradients(testbed)).map(([name, draws]) => {
    const { shape } = testbed.start[name];
    // A matrix of 64 x 10 is not worth a basis of 64 x 64.
    const vectors = vectorsOf(shape, shape.length === 4 ? axis : undefined);
    const filter = toVectors(testbed.start[name].dataSync<"float32">(), vectors);
    const directions = draws.map((draw) => toVectors(draw, vectors));
    const components = Math.min(Math.ceil(vectors.size / BLOCKS), Math.ceil(vectors.count / BLOCKS));
    return { name, shape, vectors, components, ...factorize(filter, directions, vectors, transformOf) };
  });
}

/** A block at one width. */
export interface CurvePoint {
  grid: BlockGrid;
  distortion: number;
}

/** Components and the rows of the basis that go with them: without the former the latter are worth nothing. */
export interface BlockPair<T> {
  coefficients: T;
  basis?: T;
}

/** By width, 0 .. MAX_BITS. */
export type Curves = BlockPair<CurvePoint[]>[];

/** Rows `from` .. of a factor as a block; `pair` counts blocks. */
function blockOf(filter: FactoredFilter, pair: number, factor: keyof Factors): Block {
  const { size, count } = filter.vectors;
  const rowLength = factor === "basis" ? size : count;
  const from = pair * filter.components * rowLength;
  const to = Math.min(from + filter.components * rowLength, size * rowLength);
  return {
    values: filter.factors[factor]!.subarray(from, to),
    curvature: filter.curvature[factor]!.subarray(from, to),
  };
}

const pairsOf = ({ vectors, components }: FactoredFilter): number => Math.ceil(vectors.size / components);

/** The cheap curves: second order, without running the network. */
export function proxyCurves(filters: readonly FactoredFilter[]): Curves[] {
  return filters.map((filter) =>
    Array.from({ length: pairsOf(filter) }, (_, pair) => {
      const curve = (factor: keyof Factors) =>
        Array.from({ length: MAX_BITS + 1 }, (_, bits) => bestGrid(blockOf(filter, pair, factor), bits));
      return { coefficients: curve("coefficients"), ...(filter.factors.basis && { basis: curve("basis") }) };
    }),
  );
}

/** Below this share of the error of leaving a block out, the curve goes on by a quarter a bit and is not measured. */
const NEGLIGIBLE = 1e-4;

/**
 * Measured curves: the network runs with one block quantized, and the squared error of its logits counts. Steps are those
 * of the cheap curves (the paper scans steps by running, too, which takes ten times as long).
 */
export function measuredCurves(
  testbed: Testbed,
  filters: readonly FactoredFilter[],
  images: number,
): Curves[] {
  const x = calibrationImages(testbed, images);
  const exact = tf.tidy(() => cifarResnet(testbed.start, x));
  const cheap = proxyCurves(filters);
  const progress = startProgress("measuring blocks", filters.length);
  const curves = filters.map((filter, f) => {
    const curves = cheap[f].map((points, pair) => {
      const measure = (factor: keyof Factors): CurvePoint[] => {
        const { values } = blockOf(filter, pair, factor);
        const original = values.slice();
        let previous = Number.POSITIVE_INFINITY;
        let whole = 0;
        return points[factor]!.map(({ grid }) => {
          let distortion = previous / 4;
          if (!(previous < NEGLIGIBLE * whole)) {
            values.set(blockValues(blockIntegers(original, grid), grid));
            distortion = logitError(testbed.start, x, exact, filter);
            values.set(original);
          }
          if (grid.bits === 0) whole = distortion;
          previous = distortion;
          return { grid, distortion };
        });
      };
      return { coefficients: measure("coefficients"), ...(points.basis && { basis: measure("basis") }) };
    });
    progress.update(f + 1, filter.name);
    return curves;
  });
  progress.finish();
  tf.dispose([x, exact]);
  return curves;
}

/** Mean squared error of an image's logits, the filter being what its factors are now. */
function logitError(start: Parameters, x: tf.Tensor4D, exact: tf.Tensor2D, filter: FactoredFilter): number {
  return tf.tidy(() => {
    const kernel = tf.tensor(filterOf(filter, filter.factors), filter.shape);
    const logits = cifarResnet({ ...start, [filter.name]: kernel }, x);
    return tf.div(tf.sum(tf.squaredDifference(logits, exact)), x.shape[0]).dataSync()[0];
  });
}

export const filterOf = ({ vectors }: FactoredFilter, factors: Factors): Float32Array =>
  toFilter(multiply(factors, vectors), vectors);

/** Widths of all blocks where one bit must remove at least `slope` of distortion. */
export function gridsAtSlope(
  filters: readonly FactoredFilter[],
  curves: readonly Curves[],
  slope: number,
): BlockPair<BlockGrid>[][] {
  return curves.map((pairs, f) =>
    pairs.map(({ coefficients, basis }, pair) => {
      const factors = basis ? [coefficients, basis] : [coefficients];
      const sizes = (["coefficients", "basis"] as const)
        .slice(0, factors.length)
        .map((factor) => blockOf(filters[f], pair, factor).values.length);
      // Of 1 bit and more; with none the pair is left out as a whole, and the basis then costs neither bits nor error.
      const bits = bitsAtSlope(
        factors.map((points) => points.slice(1).map(({ distortion }) => distortion)),
        slope,
        sizes,
      );
      const points = factors.map((curve, i) => curve[bits[i] + 1]);
      const cost = points.reduce(
        (sum, { grid, distortion }, i) => sum + distortion + slope * sizes[i] * grid.bits,
        0,
      );
      const chosen = cost < coefficients[0].distortion ? points : factors.map((curve) => curve[0]);
      return { coefficients: chosen[0].grid, ...(basis && { basis: chosen[1].grid }) };
    }),
  );
}

/** Everything that is stored: for each filter the blocks of its coefficients, then those of its basis if it has one. */
export function storedBlocks(
  filters: readonly FactoredFilter[],
  grids: readonly BlockPair<BlockGrid>[][],
): Record<string, StoredBlock[]> {
  const entries = filters.map((filter, f) => [
    filter.name,
    factorsOf(filter).flatMap((factor) =>
      grids[f].map((pair, b) => storedBlock(blockOf(filter, b, factor).values, pair[factor]!)),
    ),
  ]);
  return Object.fromEntries(entries);
}

const factorsOf = ({ factors }: FactoredFilter) =>
  factors.basis ? (["coefficients", "basis"] as const) : (["coefficients"] as const);

/** Names of a filter's factors in the file. */
const factorName = (filter: string, factor: keyof Factors): string => `${filter}.${factor}`;

/** The factors as tensors of a file: a row a component, with its block's step, 0 for blocks of 0 bits. */
export function factorIntegers(
  filters: readonly FactoredFilter[],
  grids: readonly BlockPair<BlockGrid>[][],
): Map<string, QuantizedTensor> {
  const tensors = new Map<string, QuantizedTensor>();
  for (const [f, filter] of filters.entries()) {
    const rows = filter.vectors.size;
    for (const factor of factorsOf(filter)) {
      const values = filter.factors[factor]!;
      const integers = new Int32Array(values.length);
      const steps = new Float32Array(rows);
      for (const [pair, both] of grids[f].entries()) {
        const grid = both[factor]!;
        const own = blockOf(filter, pair, factor).values;
        const from = pair * filter.components;
        integers.set(blockIntegers(own, grid), (from * values.length) / rows);
        if (grid.bits > 0) steps.fill(stepOf(grid), from, Math.min(from + filter.components, rows));
      }
      const shape = [rows, values.length / rows];
      tensors.set(factorName(filter.name, factor), { shape, integers, axis: 0, steps });
    }
  }
  return tensors;
}

/** Filters by name, from the factors of a file. The caller disposes of them. */
export function filtersOf(filters: readonly FactoredFilter[], factors: Parameters): Parameters {
  return Object.fromEntries(
    filters.map((filter) => {
      const [coefficients, basis] = factorsOf(filter).map((factor) =>
        factors[factorName(filter.name, factor)].dataSync<"float32">(),
      );
      return [filter.name, tf.tensor(filterOf(filter, { coefficients, basis }), filter.shape)];
    }),
  );
}

/**
 * The network that trains: filters from factors, each block on its grid, with straight-through gradients to both factors.
 *
 * @param factors variables by name, "conv1.weight.coefficients" and "conv1.weight.basis"
 */
export function trainableFilters(
  filters: readonly FactoredFilter[],
  grids: readonly BlockPair<BlockGrid>[][],
  factors: Parameters,
): Parameters {
  return Object.fromEntries(
    filters.map((filter, f) => {
      const [coefficients, basis] = factorsOf(filter).map((factor) =>
        onGrid(
          factors[factorName(filter.name, factor)] as tf.Tensor2D,
          grids[f].map((pair) => pair[factor]!),
          filter.components,
        ),
      );
      const rows = tf.transpose(coefficients);
      const vectors = basis ? tf.matMul(rows, basis) : rows;
      const { axis, size, others } = filter.vectors;
      const kernel = filter.shape.slice(0, -2);
      const turned = tf.reshape(vectors, [...kernel, others, size]);
      const last = kernel.length;
      const order = [...kernel.keys(), last + 1, last];
      return [filter.name, axis === "input" ? tf.transpose(turned, order) : turned];
    }),
  );
}

/** Rows of a factor on their blocks' grids. */
function onGrid(factor: tf.Tensor2D, grids: readonly BlockGrid[], components: number): tf.Tensor2D {
  const rows = Array.from({ length: factor.shape[0] }, (_, row) => grids[Math.floor(row / components)]);
  return affineQuantizer({
    bits: rows.map(({ bits }) => bits),
    axis: 0,
    zeroPoint: rows.map(twosComplement),
    scale: tf.tensor2d(rows.map(stepOf), [rows.length, 1]),
  }).fakeQuantize(factor);
}

/** The factors as tensors by name; the caller disposes of them. */
export const factorTensors = (filters: readonly FactoredFilter[]): Parameters =>
  Object.fromEntries(
    filters.flatMap((filter) =>
      factorsOf(filter).map((factor) => {
        const values = filter.factors[factor]!;
        return [
          factorName(filter.name, factor),
          tf.tensor2d(values, [filter.vectors.size, values.length / filter.vectors.size]),
        ];
      }),
    ),
  );

/** The same filters with factors from such tensors. */
export const withFactors = (filters: readonly FactoredFilter[], factors: Parameters): FactoredFilter[] =>
  filters.map((filter) => {
    const [coefficients, basis] = factorsOf(filter).map((factor) =>
      factors[factorName(filter.name, factor)].dataSync<"float32">().slice(),
    );
    return { ...filter, factors: { coefficients, basis } };
  });
