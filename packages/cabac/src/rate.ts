/**
 * What levels cost before they are written: for choosing among codings, and for rate-distortion-optimised rounding, where each
 * weight takes the level with the least error + lambda * bits (Wiedemann et al., arXiv 1907.11900, equation 11).
 *
 *     const model = weightRateModel({ rowLength: 576, kernel: [3, 3] });
 *     model.bits(0), model.bits(1)    // 0.58 and 2.83 bits at the start; later what the weights have taught
 *     model.update(1);                // the first weight becomes a 1
 */
import type { WeightContexts } from "./contexts.js";
import { advance, FAST_LIMIT, inherited, learned, meanProbability, SLOW_LIMIT } from "./contexts.js";
import type { Decisions, Levels, WeightOptions } from "./weights.js";
import { checkedLevels, decisions, modelOf, spell } from "./weights.js";

/** The cost of levels at the position that a coder would have reached. */
export interface WeightRateModel {
  /** Bits that this level would cost here, at least 0.0005. Changes nothing. -(2^31 - 1) .. 2^31 - 1, not checked */
  bits(level: number): number;
  /** Takes this level for the weight at the position, learns from it and moves on. */
  update(level: number): void;
}

/** A model at the start of a tensor of `count` weights, in the state of an encoder before its first weight. */
export function weightRateModel(options: WeightOptions & { rowLength: number }): WeightRateModel {
  const model = modelOf(options.rowLength, options);
  const { contexts } = model;
  const spelling = decisions();
  return {
    bits: (level) => spelledBits(contexts, spelling, spell(model, level, spelling)),
    update(level) {
      learn(contexts, spelling, spell(model, level, spelling));
      advance(model, level);
    },
  };
}

/**
 * The bits that `encodeWeights` would write, without writing them: within 0.1 % and one byte of its output.
 * Contexts given in the options learn as they would from encoding.
 */
export function estimateBits(levels: Levels, options: WeightOptions = {}): number {
  const model = modelOf(levels.length, options);
  const values = checkedLevels(levels);
  const { contexts } = model;
  const spelling = decisions();
  let bits = 0;
  for (let i = 0; i < values.length; i++) {
    const n = spell(model, values[i], spelling);
    bits += spelledBits(contexts, spelling, n);
    learn(contexts, spelling, n);
    advance(model, values[i]);
  }
  return bits;
}

/** One logarithm a level. The product stays normal: at most 73 decisions of at least 2^-11.5 each. */
function spelledBits(contexts: WeightContexts, { first, second, bit }: Decisions, n: number): number {
  let product = 1;
  for (let j = 0; j < n; j++) {
    const one = contexts[first[j]];
    const p = meanProbability(one, contexts[second[j]] || inherited(one));
    product *= (bit[j] ? p : 65536 - p) / 65536;
  }
  return -Math.log2(product);
}

function learn(contexts: WeightContexts, { first, second, bit }: Decisions, n: number): void {
  for (let j = 0; j < n; j++) {
    const one = contexts[first[j]];
    const two = contexts[second[j]] || inherited(one);
    contexts[first[j]] = learned(one, bit[j], FAST_LIMIT);
    contexts[second[j]] = learned(two, bit[j], SLOW_LIMIT);
  }
}
