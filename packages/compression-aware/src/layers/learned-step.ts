/**
 * Learned steps on the grid of the file: 2^(k/4), float32 numbers that a .bitdiet file stores as small integers. What is trained is
 * ln(step) / 10, so that an optimizer that moves weights by 0.001 moves a step by 1 %.
 *
 *     logOf(tf.scalar(0.1))             // -0.23: 0.105 = 2^(-13/4) is the nearest on the grid
 *     learnedStep(variable, damping)    // 0.10511205, with the gradient of exp(10 v)
 */
import { straightThrough } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { nearestOnGrid } from "bitdiet";

const PARTS_PER_OCTAVE = 4;
/** Steps of 2^-32 to 2^31. */
const FIRST = -32 * PARTS_PER_OCTAVE;
const STEPS = Float32Array.from({ length: 64 * PARTS_PER_OCTAVE }, (_, k) =>
  nearestOnGrid(2 ** ((FIRST + k) / PARTS_PER_OCTAVE), PARTS_PER_OCTAVE),
);
/** What a learning rate of weights is multiplied by. */
const GAIN = 10;
/** Grid places of one unit of the variable. */
const PLACES = (GAIN * PARTS_PER_OCTAVE) / Math.LN2;

/** The variable's value for steps. @param steps tensor of numbers above 0 */
export function logOf<T extends tf.Tensor>(steps: T): T {
  return tf.tidy(() => tf.div(tf.log(steps), GAIN) as T);
}

/** The variable's value in the middle of its place on the grid: the same step, whatever another device makes of exp and log. */
export function centred<T extends tf.Tensor>(log: T): T {
  return tf.tidy(() => tf.div(places(log), PLACES) as T);
}

/**
 * Steps, of the variable's shape. The grid is passed straight through: the gradient is that of exp(10 v), looked up where it is
 * computed, since no device need give exp to the last bit.
 */
export function learnedStep<T extends tf.Tensor>(log: T): T {
  return straightThrough(
    () => tf.gather(tf.tensor1d(STEPS), tf.cast(tf.sub(places(log), FIRST), "int32")),
    tf.exp(tf.mul(log, GAIN)) as T,
  );
}

function places(log: tf.Tensor): tf.Tensor {
  return tf.clipByValue(tf.round(tf.mul(log, PLACES)), FIRST, FIRST + STEPS.length - 1);
}
