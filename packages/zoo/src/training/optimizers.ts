// Optimizers whose state can be saved: plain functions over a list of variables. Those of tfjs take one learning rate
// for good, match state to variables by position in every call, and hold a step's temporaries of all variables at once,
// which for bert-base alone is over 4 GB. Here a step keeps the temporaries of one variable at a time.
// Example: `adam()([w]).update([gradient], 1e-3)` moves each element of w by 1e-3 at the first step.
import * as tf from "@tensorflow/tfjs-core";

export interface Optimizer {
  /**
   * One step down the gradients; they stay the caller's.
   *
   * @param gradients in the variables' order; a variable without one stays as it is
   */
  update(gradients: (tf.Tensor | undefined)[], learningRate: number): void;
  /** All that a later step depends on, in an order that depends on the variables alone. */
  state: tf.Variable[];
}

/** Makes an optimizer of these variables, with fresh state. The caller disposes of the state. */
export type OptimizerOf = (variables: tf.Variable[]) => Optimizer;

export interface AdamOptions {
  beta1?: number;
  beta2?: number;
  epsilon?: number;
  /** Decoupled: each step multiplies the variable by 1 - learningRate * weightDecay (Loshchilov and Hutter 2019). */
  weightDecay?: number;
}

/** Adam (Kingma and Ba 2015, algorithm 1); with a weight decay, AdamW (Loshchilov and Hutter 2019, algorithm 2). */
export function adam({
  beta1 = 0.9,
  beta2 = 0.999,
  epsilon = 1e-7,
  weightDecay = 0,
}: AdamOptions = {}): OptimizerOf {
  return (variables) => {
    const first = zerosLike(variables);
    const second = zerosLike(variables);
    const power1 = tf.tidy(() => tf.variable(tf.scalar(1)));
    const power2 = tf.tidy(() => tf.variable(tf.scalar(1)));
    return {
      state: [power1, power2, ...first, ...second],
      update(gradients, learningRate) {
        const scalars = tf.tidy(() => {
          power1.assign(tf.mul(power1, beta1));
          power2.assign(tf.mul(power2, beta2));
          return {
            decay1: tf.scalar(beta1),
            decay2: tf.scalar(beta2),
            gain1: tf.scalar(1 - beta1),
            gain2: tf.scalar(1 - beta2),
            bias1: tf.sub(1, power1),
            bias2: tf.sub(1, power2),
            epsilon: tf.scalar(epsilon),
            rate: tf.scalar(-learningRate),
          };
        });
        const { decay1, decay2, gain1, gain2, bias1, bias2, rate } = scalars;
        for (const [i, variable] of variables.entries()) {
          const gradient = gradients[i];
          if (gradient === undefined) continue;
          tf.tidy(() => {
            first[i].assign(tf.add(tf.mul(first[i], decay1), tf.mul(gradient, gain1)));
            second[i].assign(tf.add(tf.mul(second[i], decay2), tf.mul(tf.square(gradient), gain2)));
            const mean = tf.div(first[i], bias1);
            const deviation = tf.sqrt(tf.div(second[i], bias2));
            const step = tf.mul(tf.div(mean, tf.add(deviation, scalars.epsilon)), rate);
            const kept = weightDecay > 0 ? tf.mul(variable, 1 - learningRate * weightDecay) : variable;
            variable.assign(tf.add(step, kept));
          });
        }
        tf.dispose(scalars);
      },
    };
  };
}

export interface SgdOptions {
  momentum?: number;
  /** Added to the gradient as weightDecay * variable, as in PyTorch. */
  weightDecay?: number;
}

/** Stochastic gradient descent with momentum as PyTorch defines it: v = momentum v + g; w = w - learningRate v. */
export function sgd({ momentum = 0.9, weightDecay = 0 }: SgdOptions = {}): OptimizerOf {
  return (variables) => {
    const velocity = zerosLike(variables);
    return {
      state: velocity,
      update(gradients, learningRate) {
        for (const [i, variable] of variables.entries()) {
          const gradient = gradients[i];
          if (gradient === undefined) continue;
          tf.tidy(() => {
            const decayed = weightDecay > 0 ? tf.add(gradient, tf.mul(variable, weightDecay)) : gradient;
            velocity[i].assign(tf.add(tf.mul(velocity[i], momentum), decayed));
            variable.assign(tf.sub(variable, tf.mul(velocity[i], learningRate)));
          });
        }
      },
    };
  };
}

function zerosLike(variables: tf.Variable[]): tf.Variable[] {
  return variables.map((variable) => tf.tidy(() => tf.variable(tf.zerosLike(variable), false)));
}
