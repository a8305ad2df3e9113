/**
 * Compression-aware training of a layers model of TF.js in one call.
 *
 *     const aware = compressionAware(model, { weightBits: 5, activationBits: 4, lambda: 0.1 });
 *     aware.model.compile({ optimizer: tf.train.adam(1e-4), loss: "categoricalCrossentropy" });
 *     await aware.model.fit(x, y, { epochs: 3, callbacks: aware.progress(console.log) });
 *     await aware.save("model.bitdiet");
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Callback, LayersModel, LayerVariable } from "@tensorflow/tfjs-layers";
import type { Rate } from "../rate.js";
import { type ActivationBits, activationBits } from "./activation-report.js";
import { type BitsOf, quantizedCopy } from "./copy.js";
import { activationQuantizers, trainedFile, writeNew } from "./file.js";
import { endWithoutNumbers } from "./numbers-only.js";
import { type Kind, pricing } from "./price.js";
import { progressCallback } from "./progress.js";
import { quantizeLayers } from "./quantize-layers.js";
import { reportFrom, type TensorBits } from "./report.js";

/** How a model is trained to be compressible. */
export interface CompressionAwareLayers {
  /** Width of kernels and tables, 2 .. 16; by the layer's name, or undefined where they stay floats. */
  weightBits?: number | BitsOf;
  /**
   * Width of what nonlinear layers give, 1 .. 16 (2 .. 16 where it can be negative); by the layer's name, or undefined where it stays
   * floats. Left out, no activation is quantized, and what is shipped has layers of TF.js only.
   */
  activationBits?: number | BitsOf;
  /** Nats that a bit per activation, and a bit per weight, is worth: 0 or more. 0: quantization-aware training, nothing more. */
  lambda: number;
  /** The same for weights alone, where it shall be another; `lambda` by default. */
  weightLambda?: number;
  /** Share of training over which the lambdas rise from 0 in a straight line, 0 .. 1; 0 by default. Needs `progress`. */
  warmUp?: number;
  /** Sharpness of soft histograms at the start and at the end, geometrically between; 1 and 10 by default. Needs `progress`. */
  sharpness?: { first: number; last: number };
  /** Multiple of the steps that just hold the first batch's largest activations at which activations' steps start; 1 by default. */
  rangeFactor?: number;
  /** What a bit is; `orderZeroRate()` by default. */
  rate?: Rate;
}

/** Bits of what is quantized, before and after coding. */
export interface AwareReport {
  tensors: TensorBits[];
  activations: ActivationBits[];
}

/** A model in training. */
export interface AwareModel {
  /**
   * A copy of the model, trained as any: `compile`, `fit`, `fitDataset`, `evaluate`, `predict`. Batch norms are folded into linear
   * layers before them; others keep their statistics. Everything it computes, it computes with quantized weights. `fit` and
   * `fitDataset` throw where the loss is no number any more, naming the step and what holds values that are none.
   */
  model: LayersModel;
  /** Callback for `fit`: the schedule, and bits beside the loss. @param print gets a line at the end of each epoch */
  progress(print?: (line: string) => void): Callback;
  /**
   * The .bitdiet file of the model as it is now. `fromBitdiet` loads it; on the same backend it predicts the same bits.
   *
   * @throws {RangeError} naming a weight that holds values which are no numbers
   */
  bytes(): Promise<Uint8Array>;
  /** Writes the file, in Node. @throws if there is one already */
  save(path: string): Promise<void>;
  /**
   * Bits of each quantized tensor, within 0.2 % of the file's, and of each quantized activation.
   *
   * @param inputs what activations are looked at on, as `predict` takes it; without it there are none
   * @throws {RangeError} with inputs, if there are no examples, or before the first step of training
   */
  report(inputs?: tf.Tensor | tf.Tensor[]): Promise<AwareReport>;
  /** Frees the copy and the quantizers; the optimizer is its maker's. */
  dispose(): void;
}

/**
 * @param model stays as it is; a sequential or functional model, also with models in it
 * @throws {RangeError} naming an option that is out of its range, or if there is nothing to quantize
 */
export function compressionAware(model: LayersModel, options: CompressionAwareLayers): AwareModel {
  const {
    lambda,
    weightLambda = lambda,
    warmUp = 0,
    sharpness = { first: 1, last: 10 },
    rangeFactor = 1,
  } = options;
  checkOptions({ lambda, weightLambda, warmUp, sharpness, rangeFactor });
  const price = pricing({
    lambdas: { weight: weightLambda, activation: lambda },
    warmUp,
    sharpness,
    rate: options.rate,
  });
  const { model: copy, added } = quantizedCopy(model, bitsOf(options.activationBits));
  const activations = activationQuantizers(copy);
  for (const layer of activations) {
    if (added.has(layer.name)) layer.startsAt = rangeFactor;
    layer.price = price.price("activation");
  }
  const { weights, vectors, steps } = quantizeLayers(copy, bitsOf(options.weightBits), price.price("weight"));
  if (weights.size + activations.length === 0)
    throw new RangeError(
      "model: expected a layer with a kernel or a nonlinearity whose width is given, got none",
    );
  joinTraining(copy, steps, price.loss);
  endWithoutNumbers(copy);
  const report = reportFrom(weights.values());
  const bytes = () => trainedFile(copy, weights, vectors);
  const priced: Kind[] = [];
  if (weightLambda > 0 && weights.size > 0) priced.push("weight");
  if (lambda > 0 && activations.length > 0) priced.push("activation");
  return {
    model: copy,
    progress: (print) => progressCallback(price.position, price.means, priced, print),
    bytes,
    save: async (path) => writeNew(path, await bytes()),
    report: async (inputs = []) => ({
      tensors: await report(),
      activations: await activationBits(copy, activations, [inputs].flat()),
    }),
    dispose: () => {
      copy.dispose();
      price.forget();
      tf.dispose([price.means.weight, price.means.activation]);
      for (const { logStep } of weights.values()) logStep.dispose();
    },
  };
}

/**
 * Steps are trained with the model's variables, and the term is added to its loss: both by the layer of the first input, which every
 * training of the model asks, and which has no weights that would be saved.
 */
function joinTraining(model: LayersModel, steps: LayerVariable[], loss: () => tf.Scalar): void {
  const { sourceLayer } = model.inputs[0];
  Object.defineProperty(sourceLayer, "trainableWeights", { get: () => steps });
  sourceLayer.addLoss(loss as never);
}

const bitsOf = (bits: number | BitsOf | undefined): BitsOf =>
  typeof bits === "function" ? bits : () => bits;

function checkOptions({
  lambda,
  weightLambda,
  warmUp,
  sharpness: { first, last },
  rangeFactor,
}: Required<
  Pick<CompressionAwareLayers, "lambda" | "weightLambda" | "warmUp" | "sharpness" | "rangeFactor">
>): void {
  const check = (name: string, value: number, isIn: boolean, expected: string) => {
    if (!isIn) throw new RangeError(`${name}: expected ${expected}, got ${value}`);
  };
  for (const [name, value] of Object.entries({ lambda, weightLambda }))
    check(name, value, value >= 0 && value < Infinity, "a number of at least 0");
  check("warmUp", warmUp, warmUp >= 0 && warmUp <= 1, "0 to 1");
  for (const [name, value] of Object.entries({
    "sharpness.first": first,
    "sharpness.last": last,
    rangeFactor,
  }))
    check(name, value, value > 0 && value < Infinity, "a number above 0");
}
