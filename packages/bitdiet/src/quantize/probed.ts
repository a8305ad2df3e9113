/**
 * Calibration without gradients: how much the outputs depend on a layer follows from what they lost when that layer was rounded, the
 * same for all of its rows.
 *
 *     const quantize = probed(network, await measureLosses(model, runner, feeds), rest);
 *
 * A loss L = 1/2 sum over rows of g_r e_r H e_r^T, with white errors of variance v_r and all g alike, gives g tr(H) = 2 L / sum v_r.
 */
import type { CalibrationLayer } from "../networks/network.js";
import { quantizeCalibrated, type RestorableNetwork } from "./calibrated.js";
import { PROBE_FINENESS } from "./losses.js";
import type { Quantize } from "./quantize.js";

/** A layer of a model without a loss of its own is taken for one of the mean. */
const MIN_LOSS = 1e-12;

/**
 * @param losses by the names of the model's tensors, which the network's layers must have
 * @param rest quantizes the tensors that are no layer of the network
 */
export function probed(
  network: RestorableNetwork,
  losses: ReadonlyMap<string, number>,
  rest: Quantize,
): Quantize {
  const sensitivities = sensitivitiesOf(network.layers, losses);
  const unit = unitOf(network.layers, sensitivities);
  return async (lambda) => {
    const { layers } = await quantizeCalibrated(network, sensitivities, unit * lambda);
    const { model, tensors } = await network.restore(layers);
    const others = await rest(lambda);
    return { model, notes: others.notes, tensors: new Map([...others.tensors, ...tensors]) };
  };
}

/** For each layer one number a row: the mean squared gradient of the row's weights. */
export function sensitivitiesOf(
  layers: readonly CalibrationLayer[],
  losses: ReadonlyMap<string, number>,
): Float64Array[] {
  const lossOf = ({ tensor = "" }: CalibrationLayer) => losses.get(tensor);
  const known = layers.flatMap((layer) => {
    const loss = lossOf(layer);
    return loss === undefined ? [] : [Math.log(Math.max(loss, MIN_LOSS) / layer.weights.length)];
  });
  const usual = Math.exp(known.reduce((sum, value) => sum + value, 0) / Math.max(1, known.length));
  const step = 2 ** (1 - PROBE_FINENESS);
  return layers.map((layer) => {
    const loss = Math.max(MIN_LOSS, lossOf(layer) ?? usual * layer.weights.length);
    // Steps were in proportion to the rows' rms, their errors' variances a twelfth of the squares.
    const variances = (energyOf(layer) * step ** 2) / 12 / layer.columns;
    return new Float64Array(layer.rows).fill((2 * loss) / Math.max(variances, Number.MIN_VALUE));
  });
}

/** Loss that a bit is worth at lambda 1, so that 4 ** -n gives about n bits: the mean of what weights want, by logarithms. */
function unitOf(layers: readonly CalibrationLayer[], sensitivities: readonly Float64Array[]): number {
  let [total, sum] = [0, 0];
  for (const [i, layer] of layers.entries()) {
    const { length } = layer.weights;
    // Squared step over squared rms is 12 lambda / (ln 2 cost rms^2), and shall be 4 lambda.
    const cost = (sensitivities[i][0] / layer.columns) * (energyOf(layer) / length);
    total += length;
    sum += length * Math.log(Math.max(cost, Number.MIN_VALUE));
  }
  return ((4 * Math.LN2) / 12) * Math.exp(sum / Math.max(1, total));
}

function energyOf({ weights }: CalibrationLayer): number {
  let energy = 0;
  for (const weight of weights) energy += weight * weight;
  return energy;
}
