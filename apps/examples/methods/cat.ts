// CAT, compression-aware training: uniform quantizers, and the soft entropy of their levels in the loss. On activations,
// on weights, on both; against it what it must beat: the same training without the term over bit widths and ranges, and
// the L1 / L2 norm ratio, the paper's own baseline. And what the paper lacks: entropy given the neighbours, which is what
// a coder with contexts spends.
import { sparsityProxy } from "@bitdiet/entropy-loss";
import { contextRate } from "../context-rate.js";
import type { Rate } from "../rates.js";
import { type QuantizationAware, quantizationAware } from "./quantization-aware.js";
import type { Recipe, Run } from "./recipe.js";

/** An entropy term does best from steps a little too coarse: this many times the largest calibration value. */
const WIDE = 1.5;

/** ||x||1 / (sqrt(n) ||x||2), which knows nothing of levels. */
const proxyRate: Rate = (x) => ({ x, bits: sparsityProxy(x) });

const run = (id: string, title: string, of: Run["of"], options: QuantizationAware, curve?: string): Run => ({
  id,
  title,
  of,
  curve,
  trains: true,
  measure: (ground) => quantizationAware(ground, options),
});

const plain = [
  { bits: 5, rangeFactor: 1 },
  { bits: 4, rangeFactor: 1 },
  { bits: 4, rangeFactor: 2 },
  { bits: 3, rangeFactor: 1 },
  { bits: 3, rangeFactor: 2 },
].map(({ bits, rangeFactor }) =>
  run(
    `plain-${bits}-${rangeFactor}`,
    `λ = 0, ${bits} bits, range ×${rangeFactor}`,
    "activations",
    { bits, rangeFactor },
    "λ = 0, over bit widths and ranges",
  ),
);

const entropy = [0.03, 0.1, 0.25].map((lambda) =>
  run(
    `entropy-${lambda}`,
    `entropy, λ ${lambda}`,
    "activations",
    { rangeFactor: WIDE, activationPressure: { lambda } },
    "entropy term",
  ),
);

const context = [0.03, 0.1, 0.25].map((lambda) =>
  run(
    `context-${lambda}`,
    `entropy given neighbours, λ ${lambda}`,
    "activations",
    { rangeFactor: WIDE, activationPressure: { lambda, rate: contextRate() } },
    "entropy term given neighbours",
  ),
);

const proxy = [0.5].map((lambda) =>
  run(
    `proxy-${lambda}`,
    `L1 / L2 proxy, λ ${lambda}`,
    "activations",
    { rangeFactor: WIDE, activationPressure: { lambda, rate: proxyRate } },
    "L1 / L2 proxy",
  ),
);

const weights = [
  { weightBits: 4, lambda: 0 },
  { weightBits: 5, lambda: 0.1 },
  { weightBits: 5, lambda: 0.3 },
].map(({ weightBits, lambda }) =>
  run(
    `weights-${weightBits}-${lambda}`,
    `weights, ${weightBits} bits, λ ${lambda}`,
    "weights",
    { bits: "float", weightBits, weightPressure: { lambda } },
    lambda === 0 ? "fixed-width training" : "entropy term",
  ),
);

const both = run("both", "both, λ 0.05 and 0.1", "both", {
  weightBits: 5,
  rangeFactor: WIDE,
  activationPressure: { lambda: 0.05, rate: contextRate() },
  weightPressure: { lambda: 0.1 },
});

export const cat: Recipe = {
  name: "cat",
  paper: "CAT (Baskin et al., JMLR 22, 2021)",
  published: "ResNet-18, ImageNet: 1.5 bit/value, 69.2 % (float 69.7); ResNet-34: 1.79, 73.1 % (73.3)",
  runs: [...plain, ...entropy, ...context, ...proxy, ...weights, both],
};
