/**
 * A network to integers with the help of calibration inputs: in network order, each layer against the inputs that the quantized layers
 * before it give it, and for the outputs that the float network has.
 *
 *     const sensitivities = await measureSensitivities(network);
 *     const { layers } = await quantizeCalibrated(network, sensitivities, 1e-5);   // a point of the curve; smaller is finer
 *
 * The loss of a layer is taken as 1/2 tr(G E H E^T): E the errors of its weights (rows x columns), H the second moments of its inputs, G those
 * of the gradients at its outputs (Martens and Grosse, arXiv 1503.05671). Rounding goes along both: within a row later weights make
 * up for earlier ones (H), and later rows for earlier ones (G; Tseng et al., arXiv 2505.22988).
 */
import type {
  CalibrationLayer,
  CalibrationNetwork,
  GradientNetwork,
  LayerParameters,
} from "../networks/network.js";
import type { Quantize, QuantizedModel } from "./quantize.js";
import { type QuantizedLayer, quantizeLayer } from "./quantize-layer.js";
import { quantizeTable } from "./quantize-table.js";

/** A network of a model, and the way back. */
export interface RestorableNetwork extends CalibrationNetwork {
  /**
   * For each layer second moments of the gradients of its weights along rows: rows x rows, or only the diagonal, one a row. Of a table
   * those of the gradients at its output, one a column.
   */
  sensitivities(): Promise<Float64Array[]>;
  /** The model with what its layers have become. */
  restore(layers: readonly QuantizedLayer[]): QuantizedModel | Promise<QuantizedModel>;
}

/** What `measure` gives, for each layer, or what it gave before. */
export type Remember = (measure: () => Promise<Float64Array[]>) => Promise<Float64Array[]>;

/** Nats that a bit for every weight is worth at lambda 1: at 4 ** -3.5 the file is about 0.1 nats an input off. */
const NATS = 18;

/**
 * Integers chosen by what the network does with its calibration inputs. Measures sensitivities once, for all lambdas.
 *
 * @param rest quantizes the tensors that are no layer of the network
 * @param remember gives what was measured before on the same model and inputs
 */
export async function calibrated(
  network: RestorableNetwork,
  rest: Quantize,
  remember: Remember = (measure) => measure(),
): Promise<Quantize> {
  const sensitivities = await remember(() => network.sensitivities());
  const weights = network.layers.reduce((sum, { rows, columns }) => sum + rows * columns, 0);
  return async (lambda) => {
    const { layers } = await quantizeCalibrated(network, sensitivities, (NATS * lambda) / weights);
    const { model, tensors } = await network.restore(layers);
    const others = await rest(lambda);
    const notes = new Map<string, string>();
    for (const name of others.tensors.keys()) {
      const note = others.notes?.get(name);
      if (!tensors.has(name)) notes.set(name, `calibration does not reach it${note ? `; ${note}` : ""}`);
    }
    return { model, notes, tensors: new Map([...others.tensors, ...tensors]) };
  };
}

/**
 * For each layer the second moments of the gradients of its weights along rows, rows x rows: how much the outputs depend on each row, and
 * on which pairs of rows in the same way.
 */
export async function measureSensitivities(
  network: GradientNetwork,
  parameters?: readonly LayerParameters[],
): Promise<Float64Array[]> {
  const sums = network.layers.map(({ rows }) => new Float64Array(rows * rows));
  const squares = new Float64Array(sums.length);
  let count = 0;
  await network.gradients((gradients) => {
    count++;
    network.layers.forEach((layer, i) => {
      squares[i] += addRowProducts(sums[i], gradients[i], layer);
    });
  }, parameters);
  return sums.map((sum, i) => shrunkMeans(sum, count, squares[i]));
}

/**
 * Means of products, those of different rows shrunk by the share that chance explains: from few gradients, rows that have nothing to do
 * with each other seem to make up for each other (Ledoit and Wolf, J. Multivar. Anal. 88, 2004).
 *
 * @param squares sum of the squares of all products of different rows
 */
function shrunkMeans(sums: Float64Array, count: number, squares: number): Float64Array {
  const rows = Math.sqrt(sums.length);
  const means = sums.map((sum) => sum / count);
  let total = 0;
  for (let i = 0; i < sums.length; i++) if (i % (rows + 1) !== 0) total += means[i] ** 2;
  const chance = (squares / count - total) / Math.max(1, count - 1);
  const kept = total > 0 ? Math.max(0, 1 - chance / total) : 1;
  return means.map((mean, i) => (i % (rows + 1) === 0 ? mean : kept * mean));
}

/** sum += d d^T of d, rows x columns; @returns the squares of what was added, without the diagonal, summed */
function addRowProducts(sum: Float64Array, d: Float32Array, { rows, columns }: CalibrationLayer): number {
  let squares = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j <= i; j++) {
      let product = 0;
      for (let a = i * columns, b = j * columns, end = a + columns; a < end; a++, b++) product += d[a] * d[b];
      sum[i * rows + j] += product;
      if (i === j) continue;
      sum[j * rows + i] += product;
      squares += 2 * product * product;
    }
  }
  return squares;
}

/**
 * @param sensitivities of measureSensitivities, rows x rows, or only the diagonal, one a row (of a table one a column); the same for all points of a curve
 * @param lambda nats of KL divergence that a bit is worth, above 0; four times as much is a bit less for each weight
 * @returns the layers, and the outputs for the calibration inputs, inputs x classes
 */
export async function quantizeCalibrated(
  network: CalibrationNetwork,
  sensitivities: readonly Float64Array[],
  lambda: number,
): Promise<{ layers: QuantizedLayer[]; outputs: Float32Array }> {
  if (!(lambda > 0 && lambda < Infinity)) throw new RangeError(`lambda: expected above 0, got ${lambda}`);
  const layers: QuantizedLayer[] = [];
  const outputs = await network.walk((index, statistics) => {
    const [layer, sensitivity] = [network.layers[index], sensitivities[index]];
    layers[index] = layer.isTable
      ? quantizeTable(layer, statistics.gram, sensitivity, lambda)
      : quantizeLayer(layer, statistics, sensitivity, lambda);
    return layers[index];
  });
  return { layers, outputs };
}
