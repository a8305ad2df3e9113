/**
 * A network as the calibrated quantizer sees it: layers in the order in which they run, each a matrix times its inputs plus
 * biases. Whoever can run the network (TF.js, or anything else) implements this; nothing here depends on how.
 *
 * A convolution is a matrix: one row an output channel, one column an input channel and kernel position (channels outermost, as
 * in OIHW), and its inputs are the patches under the kernel. E.g. 3x3 from 16 to 32 channels: 32 rows, 144 columns.
 */

/** A layer with weights, batch norm already folded into it. */
export interface CalibrationLayer {
  name: string;
  /** Name of the model's tensor that the weights were made of. */
  tensor?: string;
  /** Outputs: output channels. */
  rows: number;
  /** Inputs of one output: input channels times kernel positions. */
  columns: number;
  /** Height and width of the kernels that a row consists of; [1, 1] for a dense layer. */
  kernel: readonly [number, number];
  /** Equal parts of the rows, one after another, each with inputs of its own: groups of a convolution. Default: 1. */
  groups?: number;
  /** Whether each input is the number of a row, which is then the output: a table of embeddings. It has no biases. */
  isTable?: boolean;
  /** rows x columns */
  weights: Float32Array;
  /** One a row; zeros where the layer has none. */
  biases: Float32Array;
}

/** What a layer runs with: the float weights and biases, or what came out of quantizing them. */
export interface LayerParameters {
  /** rows x columns */
  weights: Float32Array;
  biases: Float32Array;
}

/**
 * Second moments of a layer's inputs, means over images and positions. Inputs are extended by a last one that is always 1, which
 * the biases belong to: n = columns + 1. Of a layer without biases it is uncorrelated with the others: biases then stay 0.
 */
export interface InputStatistics {
  /** Mean of x x^T, groups x n x n. Of a table only the diagonal: each row's share of the inputs. */
  gram: Float64Array;
  /**
   * Mean of e x^T, rows x n, where e is what the float network has here less what this network has with the layer's float
   * parameters: the error that earlier layers left, for this one to make good. Where the layer's output is only added to another
   * branch, e is taken after the sum. Empty for a table.
   */
  residual: Float64Array;
}

export interface CalibrationNetwork {
  layers: readonly CalibrationLayer[];
  /**
   * Runs the calibration inputs through the network, layer by layer. Each layer sees what the layers before it, as replaced by
   * then, make of them.
   *
   * @param replace gives the parameters that the layer shall run with, from the statistics of its inputs
   * @returns the network's outputs, inputs x classes
   */
  walk(replace: (layer: number, statistics: InputStatistics) => LayerParameters): Promise<Float32Array>;
}

export interface GradientNetwork extends CalibrationNetwork {
  /**
   * How much the outputs depend on the weights: gradients of random projections of the outputs, whose covariance is the Hessian of
   * the loss (KL divergence, or squared error) at its minimum.
   *
   * @param visit is given the gradient of each layer's weights, rows x columns
   * @param parameters where to take the gradients; default: at the float network
   */
  gradients(
    visit: (gradients: readonly Float32Array[]) => void,
    parameters?: readonly LayerParameters[],
  ): Promise<void>;
}
