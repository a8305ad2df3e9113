/**
 * Weights of a layer as the layer sees them: its kernels quantized, its biases and norms rounded to bfloat16, all as they will be
 * shipped. The layer's own code is left alone: while it runs, its variables read as what is put in their place.
 *
 *     throughQuantizers(layer, (training) => new Map([[layer.kernel, quantizer.fakeQuantize(layer.kernel.read())]]));
 */
import { affineQuantizer, lsqScale, type Quantizer, straightThrough } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { LayerVariable } from "@tensorflow/tfjs-layers";
import { learnedStep, logOf } from "./learned-step.js";
import type { LiveLayer } from "./walk.js";

/** A kernel, and the quantizer that is learned with it. */
export interface QuantizedWeight {
  /** As in the file: "conv/kernel". */
  name: string;
  variable: LayerVariable;
  /** Axis of the output channels. */
  axis: number;
  logStep: LayerVariable;
  /** At the present steps, to be used within a tidy. */
  quantizer(): Quantizer;
}

/** Fewer weights than this are not worth a step of their own, which takes half a byte to a byte. */
const MIN_ROW = 8;
/** Below this a largest weight counts as this: also a row of zeros has a step. */
const LEAST = 2 ** -20;

/**
 * @param isDepthwise always has a step for each channel, few as its numbers are
 * @throws {RangeError} unless bits are 2 .. 16
 */
export function quantizedWeight(
  variable: LayerVariable,
  { bits, axis, isDepthwise }: { bits: number; axis: number; isDepthwise: boolean },
): QuantizedWeight {
  const shape = variable.shape as number[];
  const size = tf.util.sizeFromShape(shape);
  const isByRow = isDepthwise || size / shape[axis] >= MIN_ROW;
  const grid = { bits, signed: true };
  const others = shape.map((_, a) => a).filter((a) => !isByRow || a !== axis);
  const start = tf.tidy(() => {
    // Checks the width, before anything is trained.
    affineQuantizer({ ...grid, scale: 1 });
    const largest = tf.maximum(tf.max(tf.abs(variable.read()), others, isByRow), LEAST);
    return logOf(tf.div(largest, 2 ** (bits - 1) - 1));
  });
  const logStep = new LayerVariable(start, "float32", `${variable.originalName}_log_step`);
  start.dispose();
  return {
    name: variable.originalName,
    variable,
    axis,
    logStep,
    quantizer: () => {
      const steps = learnedStep(logStep.read());
      return affineQuantizer({ ...grid, scale: lsqScale(steps, size / steps.size, grid) });
    },
  };
}

/**
 * Float32 numbers rounded to the eight significant bits of a bfloat16, passed straight through: in a file they take half the bytes.
 * Splitting by multiplication (Dekker 1971, "A floating-point technique for extending the available precision"), which is exact.
 */
export function roundedToShort<T extends tf.Tensor>(x: T): T {
  return straightThrough((value) => {
    const large = tf.mul(value, 2 ** 16 + 1);
    return tf.sub(large, tf.sub(large, value));
  }, x);
}

/** Lets a layer read other values than its variables', made anew for each of its calls. */
export function throughQuantizers(
  layer: LiveLayer,
  valuesOf: (isTraining: boolean) => ReadonlyMap<LayerVariable, tf.Tensor>,
): void {
  // A batch norm keeps to its statistics: those of training would run after weights that change.
  const isNorm = layer.getClassName() === "BatchNormalization";
  if (layer.weights.length === 0) return;
  const call = layer.call.bind(layer);
  layer.call = (inputs, kwargs = {}) =>
    tf.tidy(() => {
      const values = valuesOf(kwargs.training === true);
      for (const [variable, value] of values) (variable as { read(): tf.Tensor }).read = () => value;
      try {
        return call(inputs, isNorm ? { ...kwargs, training: false } : kwargs);
      } finally {
        for (const variable of values.keys()) delete (variable as Partial<LayerVariable>).read;
      }
    });
}
