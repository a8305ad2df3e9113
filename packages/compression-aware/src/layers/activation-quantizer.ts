/**
 * The layer that quantizes activations, in training as in what is shipped: a model with it predicts the same before it is saved and
 * after it is loaded. Its step is learned; it starts so that the first batch that training sees just fits.
 *
 *     registerActivationQuantizer();                       // before a model that has it is loaded
 *     await tf.loadLayersModel(fromBitdiet("model.bitdiet"));
 */
import { affineQuantizer, lsqScale, type Quantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { initializers, type LayerVariable, layers } from "@tensorflow/tfjs-layers";
import { learnedStep, logOf } from "./learned-step.js";

/** What is told of an activation on its way through a training step; goes on with what it returns. */
export type Price = (x: tf.Tensor, quantizer: Quantizer, name: string) => tf.Tensor;

type LayerArguments = ConstructorParameters<typeof layers.Layer>[0];
export interface ActivationQuantizerArguments extends NonNullable<LayerArguments> {
  /** Width, 1 .. 16; 2 .. 16 if signed. */
  bits: number;
  /** Levels on both sides of 0: what is quantized can be negative. */
  signed: boolean;
}

/** Below this a first batch's largest value counts as this. */
const LEAST = 2 ** -20;

export class ActivationQuantizer extends layers.Layer {
  static readonly className = "ActivationQuantizer";
  readonly bits: number;
  readonly signed: boolean;
  /** Multiple of the step that just holds the first batch; undefined once there is a step. */
  startsAt?: number;
  price?: Price;
  /** Is shown what comes out. */
  watch?: (values: tf.Tensor) => void;
  logStep!: LayerVariable;

  /** @throws {RangeError} if the width is none */
  constructor(config: ActivationQuantizerArguments) {
    super(config);
    this.bits = config.bits;
    this.signed = config.signed;
    this.supportsMasking = true;
    tf.tidy(() => void affineQuantizer({ bits: this.bits, signed: this.signed, scale: 1 }));
  }

  override build(): void {
    this.logStep = this.addWeight("log_step", [], "float32", initializers.zeros());
    this.built = true;
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: { training?: boolean }): tf.Tensor {
    return tf.tidy(() => {
      const x = Array.isArray(inputs) ? inputs[0] : inputs;
      if (this.startsAt !== undefined) {
        if (!kwargs.training) return tf.clone(x);
        this.start(x, this.startsAt);
      }
      const grid = { bits: this.bits, signed: this.signed };
      const size = x.size / Math.max(1, x.shape[0]);
      const scale = lsqScale(learnedStep(this.logStep.read()), size, grid);
      const quantizer = affineQuantizer({ ...grid, scale });
      const priced = kwargs.training && this.price ? this.price(x, quantizer, this.name) : x;
      const values = quantizer.fakeQuantize(priced);
      this.watch?.(values);
      return values;
    });
  }

  /** On the device: nothing is read back. */
  private start(x: tf.Tensor, factor: number): void {
    const highest = 2 ** (this.signed ? this.bits - 1 : this.bits) - 1;
    const largest = tf.maximum(tf.max(tf.abs(x)), LEAST);
    this.logStep.write(logOf(tf.mul(largest, factor / highest)));
    this.startsAt = undefined;
  }

  override computeOutputShape(shape: (number | null)[]): (number | null)[] {
    return shape;
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), bits: this.bits, signed: this.signed };
  }
}

/** Lets TF.js load models that have quantized activations. */
export function registerActivationQuantizer(): void {
  tf.serialization.registerClass(ActivationQuantizer);
}
