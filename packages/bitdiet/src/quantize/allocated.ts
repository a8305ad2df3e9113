/**
 * Integers as fine, tensor by tensor, as the outputs depend on them.
 *
 *     const quantize = allocated(model, await measureLosses(model, runner, feeds));
 *
 * A tensor of n weights that costs L at a probe's step s0 costs L (s / s0)^2 at the step s. The sum of all, and lambda for each bit of
 * each weight, are least where s^2 is in proportion to n / L.
 */
import { elementCount, type Model } from "../model.js";
import { quantizedTensors } from "./from-weights.js";
import { finenessOf, type Quantize } from "./quantize.js";

/** Octaves that a tensor's steps may be coarser than the mean: a loss may be small for want of inputs that show it. */
const MAX_COARSER = 2;
const MAX_FINER = 8;

/** @param losses by tensor, as `measureLosses` gives them; tensors without one are as fine as the mean */
export function allocated(model: Model, losses: ReadonlyMap<string, number>): Quantize {
  const offsets = finenessOffsets(model, losses);
  const notes = new Map([...offsets].map(([name, bits]) => [name, noteOf(bits)]));
  return async (lambda) => ({
    notes,
    tensors: quantizedTensors(model, ({ name }) => finenessOf(lambda) + (offsets.get(name) ?? 0)),
  });
}

function noteOf(bits: number): string {
  const by = `${Math.abs(bits).toFixed(1)} bits ${bits < 0 ? "coarser" : "finer"} than the mean`;
  return `outputs depend on it ${bits < 0 ? "less" : "more"}: ${by}`;
}

/** Bits by which each tensor is finer than the mean weight. */
export function finenessOffsets(model: Model, losses: ReadonlyMap<string, number>): Map<string, number> {
  const measured = model.tensors.flatMap(({ name, shape, use }) => {
    const loss = losses.get(name);
    const weights = elementCount(shape);
    // Of a table only the rows are seen that the inputs ask for.
    const most = use.kind === "embedding" ? 0 : MAX_COARSER;
    // What moves nothing at all was not reached, as the other branch of a condition: nothing is known of it.
    return loss === undefined || loss === 0
      ? []
      : [{ name, weights, most, bits: Math.log2(loss / weights) / 2 }];
  });
  const total = measured.reduce((sum, { weights }) => sum + weights, 0);
  const mean = measured.reduce((sum, { weights, bits }) => sum + (weights / total) * bits, 0);
  return new Map(
    measured.map(({ name, bits, most }) => [name, Math.max(-most, Math.min(MAX_FINER, bits - mean))]),
  );
}
