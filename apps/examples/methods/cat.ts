// CAT, compression-aware training: uniform quantizers, and the soft entropy of their levels in the loss. On activations,
// on weights, on both; against it what it must beat: the same training without the term over bit widths and ranges, and
// the L1 / L2 norm ratio, the paper's own baseline. And what the paper lacks: entropy given the neighbours, which is what
// a coder with contexts spends; a range for each channel; a lambda for each layer.

import type { Rate } from "@bitdiet/compression-aware";
import { contextRate } from "@bitdiet/compression-aware";
import { sparsityProxy } from "@bitdiet/entropy-loss";
import { type QuantizationAware, quantizationAware } from "./quantization-aware.js";
import type { Recipe, Run } from "./recipe.js";

const run = (of: Run["of"], id: string, title: string, options: QuantizationAware, curve?: string): Run => ({
  id,
  title,
  of,
  curve,
  trains: true,
  measure: (testbed) => quantizationAware(testbed, options),
});

/** Without the term, over bit widths and ranges. */
const plain = [
  { bits: 5, rangeFactor: 1 },
  { bits: 4, rangeFactor: 1 },
  { bits: 4, rangeFactor: 1.5 },
  { bits: 4, rangeFactor: 2 },
  { bits: 4, rangeFactor: 3 },
  { bits: 3, rangeFactor: 1.5 },
  { bits: 3, rangeFactor: 3 },
].map((options) => {
  const title = `λ = 0, ${options.bits} bits, range ×${options.rangeFactor}`;
  return run("activations", `plain-${options.bits}-${options.rangeFactor}`, title, options, "λ = 0");
});

/** More levels than the term will leave in use. */
const wide = { bits: 5, rangeFactor: 1.25 };
/** More levels than a channel needs: the coder sees to it that they cost nothing. */
const perChannel = { bits: 6, rangeFactor: 1.25, channelRanges: true };

const curves: [
  id: string,
  curve: string,
  options: QuantizationAware,
  rate: Rate | undefined,
  lambdas: number[],
][] = [
  ["entropy", "entropy", wide, undefined, [1, 3]],
  ["context", "entropy given neighbours", wide, contextRate(), [1, 3, 6]],
  ["channels", "entropy given neighbours, a range a channel", perChannel, contextRate(), [0, 0.3, 1, 3, 6]],
  ["proxy", "L1 / L2 ratio", wide, (x) => ({ x, bits: sparsityProxy(x) }), [1, 10]],
];

const priced = curves.flatMap(([id, curve, options, rate, lambdas]) =>
  lambdas.map((lambda) => {
    const weighed = { activationRate: { lambda, rate } };
    return run("activations", `${id}-${lambda}`, `${curve}, λ ${lambda}`, { ...options, ...weighed }, curve);
  }),
);

/** Maps inside the blocks are noise to their neighbours, and dear; those between blocks are smooth, and read twice. */
const inside = (name: string): number => (name.endsWith("relu1") ? 1 : 0);
const perLayer = run("activations", "layers-3", "entropy given neighbours, λ 3 inside the blocks alone", {
  ...wide,
  activationRate: { lambda: 3, rate: contextRate(), layer: inside },
});

/** The term goes on saving bits after the short run: both curves again, over five times the steps. */
const long = [
  ...plain.filter(({ id }) => ["plain-4-2", "plain-4-3", "plain-3-1.5", "plain-3-3"].includes(id)),
  ...priced.filter(({ id }) => ["channels-1", "channels-3"].includes(id)),
].map(
  (one): Run => ({
    ...one,
    id: `long-${one.id}`,
    title: `${one.title}, longer`,
    curve: `${one.curve}, longer`,
    longer: 5,
  }),
);

const weights = [0.3, 1, 3].map((lambda) => {
  const options = { weightBits: 5, weightRate: { lambda } } as const;
  return run("weights", `weights-${lambda}`, `entropy, 5 bits, λ ${lambda}`, options, "entropy");
});

const both = [0.3, 1].map((lambda) =>
  run("both", `both-${lambda}`, `entropy of both, λ 1 and ${lambda}`, {
    ...perChannel,
    weightBits: 5,
    activationRate: { lambda: 1, rate: contextRate() },
    weightRate: { lambda },
  }),
);

export const cat: Recipe = {
  name: "cat",
  paper: "CAT (Baskin et al., JMLR 22, 2021)",
  published: "ResNet-18, ImageNet: 1.5 bit/value, 69.2 % (float 69.7); ResNet-34: 1.79, 73.1 % (73.3)",
  runs: [...plain, ...priced, perLayer, ...long, ...weights, ...both],
};
