// The one training loop: gradients of a scalar loss, groups of variables with an optimizer of their own each, and
// progress. What is trained, on what and for which loss is the caller's: a function of the step.
import * as tf from "@tensorflow/tfjs-core";
import { startProgress } from "./progress.js";

/** Variables that share a learning rate, which `cosineDecay` scales over the run. */
export interface VariableGroup {
  variables: tf.Variable[];
  /** The largest learning rate of the run. */
  learningRate: number;
}

export interface Training {
  /** What the progress line says. */
  task: string;
  steps: number;
  groups: VariableGroup[];
  /** The scalar to minimize; called once a step inside a tidy, `progress` runs from 0 to 1 over the run. */
  loss: (step: number, progress: number) => tf.Scalar;
}

/** Falls from 1 to 0 along half a cosine. */
export const cosineDecay = (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress));

/**
 * Adam with a cosine schedule on every group; leaves the trained values in the variables and no tensor behind.
 *
 * @throws {Error} if the loss stops being a number, naming the step
 */
export async function train({ task, steps, groups, loss }: Training): Promise<void> {
  const progress = startProgress(task, steps);
  const variables = groups.flatMap((group) => group.variables);
  const optimizers = groups.map(({ learningRate }) => tf.train.adam(learningRate, 0.9, 0.99));
  let smoothed = 0;
  try {
    for (let step = 0; step < steps; step++) {
      const { value, grads } = tf.variableGrads(() => loss(step, step / steps), variables);
      const lossNow = value.dataSync()[0];
      if (!Number.isFinite(lossNow)) throw new Error(`${task}: the loss became ${lossNow} at step ${step}.`);
      for (const [index, group] of groups.entries()) {
        setLearningRate(optimizers[index], group.learningRate * cosineDecay(step / steps));
        optimizers[index].applyGradients(
          group.variables.map((variable) => ({ name: variable.name, tensor: grads[variable.name] })),
        );
      }
      tf.dispose([value, grads]);
      smoothed = step === 0 ? lossNow : 0.95 * smoothed + 0.05 * lossNow;
      progress.update(step + 1, `loss ${smoothed.toFixed(3)}`);
      if (step % 8 === 0) await tf.nextFrame();
    }
  } finally {
    progress.finish();
    for (const optimizer of optimizers) optimizer.dispose();
  }
}

/** tfjs gives its optimizers a learning rate once; Adam reads this field at every step. */
function setLearningRate(optimizer: tf.AdamOptimizer, learningRate: number): void {
  (optimizer as unknown as { learningRate: number }).learningRate = learningRate;
}
