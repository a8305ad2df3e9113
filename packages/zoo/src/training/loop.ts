// The one training loop: gradients of a scalar loss, groups of variables with an optimizer of their own each, progress,
// and checkpoints to go on from. What is trained, on what and for which loss is the caller's: a function of the step.
// A step's data and random numbers depend on the step alone, so an interrupted run that goes on ends as it would have.
import * as tf from "@tensorflow/tfjs-core";
import { InterruptedError } from "../runner/interruption.js";
import { startProgress } from "../runner/progress.js";
import { readTrainingState, writeTrainingState } from "./checkpoint.js";
import { adam, type OptimizerOf } from "./optimizers.js";

/** Variables that share a learning rate, which the schedule scales over the run, and an optimizer. */
export interface VariableGroup {
  variables: tf.Variable[];
  /** The largest learning rate of the run. */
  learningRate: number;
  /** Default: Adam with betas 0.9 and 0.99. */
  optimizer?: OptimizerOf;
}

/** Puts a number beside the loss on the progress line, smoothed over steps like the loss: "weight bits", "accuracy". */
export type Log = (name: string, value: tf.Scalar) => void;

/** The scalar to minimize; called once a step inside a tidy, `progress` runs from 0 to 1 over the run. */
export type Loss = (step: number, progress: number, log: Log) => tf.Scalar;

/** What one step found: gradients in the order of the variables, none where the loss doesn't depend on one. */
export interface StepGradients {
  loss: number;
  logged: Record<string, number>;
  gradients: (tf.Tensor | undefined)[];
  /** Whether anybody who trains along was told to end. */
  isTold?: boolean;
}

/** Finds a step's gradients: `gradientsOf(loss)` on this thread, or on several. */
export type Gradients = (
  variables: tf.Variable[],
  step: number,
  progress: number,
) => StepGradients | Promise<StepGradients>;

export interface Training {
  /** What the progress line says. */
  task: string;
  steps: number;
  groups: VariableGroup[];
  gradients: Gradients;
  /** Factor of the learning rates at a progress of 0 to 1. Default: `cosineDecay`. */
  schedule?: (progress: number) => number;
  checkpoint?: Checkpoint;
  /** Gives the state, and the steps done, of the one who has the checkpoint to all who train along. */
  agree?: (state: readonly tf.Variable[], done: number) => Promise<number>;
  /** The loss keeps something from each step that is a multiple of this to the next one: a run goes on from there only. Default: 1. */
  cycle?: number;
}

/** A file that holds variables and optimizer state of a run under way. */
export interface Checkpoint {
  path: string;
  /** Written after so many steps since it was, and after the last step, replacing the one before. */
  every: number;
  /** Go on from the file, if there is one. */
  resume: boolean;
  /** Once it is aborted, the file is written after the step under way, or its cycle, and the run ends. */
  stop?: AbortSignal;
}

/** Falls from 1 to 0 along half a cosine. */
export const cosineDecay = (progress: number): number => 0.5 * (1 + Math.cos(Math.PI * progress));

/** Rises from 0 to 1 over the first `share` of the run, then falls to 0 in a straight line, as BERT is fine-tuned. */
export const linearWarmUp =
  (share: number) =>
  (progress: number): number =>
    progress < share ? progress / share : (1 - progress) / (1 - share);

/** Gradients by tfjs's tape, on this thread. */
export function gradientsOf(loss: Loss): Gradients {
  return (variables, step, progress) => {
    const logged: Record<string, number> = {};
    const { value, grads } = tf.variableGrads(
      () => loss(step, progress, (name, scalar) => (logged[name] = scalar.dataSync()[0])),
      variables,
    );
    const lossNow = value.dataSync()[0];
    value.dispose();
    return { loss: lossNow, logged, gradients: variables.map(({ name }) => grads[name]) };
  };
}

/**
 * Leaves the trained values in the variables and no tensor behind.
 *
 * @throws {InterruptedError} if it was stopped before its last step
 * @throws {Error} if the loss or a variable stops being a number, naming the step: no checkpoint is written of such a state; if the checkpoint to go on from is of another run
 */
export async function train({
  task,
  steps,
  groups,
  gradients: gradientsAt,
  schedule = cosineDecay,
  checkpoint,
  agree,
  cycle = 1,
}: Training): Promise<void> {
  if (!Number.isInteger(steps) || steps < 1)
    throw new Error(`${task}: expected a whole number of steps, 1 or more, got ${steps}.`);
  const variables = groups.flatMap((group) => group.variables);
  const optimizers = groups.map(({ variables, optimizer = adam({ beta2: 0.99 }) }) => optimizer(variables));
  const state = { variables, optimizers: optimizers.flatMap(({ state }) => state) };
  const progress = startProgress(task, steps);
  const smoothed = smoothing();
  try {
    const done = checkpoint?.resume ? await readTrainingState(checkpoint.path, state, steps) : 0;
    const first = (await agree?.([...variables, ...state.optimizers], done)) ?? done;
    let kept = first;
    for (let step = first; step < steps; step++) {
      const found = await gradientsAt(variables, step, step / steps);
      if (!Number.isFinite(found.loss))
        throw new Error(
          `${task}: the loss became ${found.loss} at step ${step}${culprit(variables, found)}.`,
        );
      let at = 0;
      for (const [index, { variables, learningRate }] of groups.entries()) {
        const gradients = found.gradients.slice(at, (at += variables.length));
        optimizers[index].update(gradients, learningRate * schedule(step / steps));
      }
      tf.dispose(found.gradients.filter((gradient) => gradient !== undefined));
      progress.update(step + 1, smoothed({ loss: found.loss, ...found.logged }));
      const done = step + 1;
      const isLast = done === steps;
      const isWhole = done % cycle === 0;
      const isStopped = isWhole && !isLast && (found.isTold ?? checkpoint?.stop?.aborted ?? false);
      const isDue = isLast || isStopped || (isWhole && done - kept >= (checkpoint?.every ?? Infinity));
      if (isDue) refuseNoNumbers(task, variables, step);
      if (isDue && checkpoint) {
        await writeTrainingState(checkpoint.path, state, done, steps);
        kept = done;
      }
      if (isStopped)
        throw new InterruptedError(`${task}: stopped after step ${done} of ${steps}${keptIn(checkpoint)}`);
      await tf.nextFrame(); // signals are heard between steps
    }
  } finally {
    progress.finish();
    tf.dispose(state.optimizers);
  }
}

const keptIn = (checkpoint?: Checkpoint) => (checkpoint ? `, kept in ${checkpoint.path}` : "");

/** @throws {Error} if a variable is no longer of numbers: the loss was still one, the gradient was not */
function refuseNoNumbers(task: string, variables: readonly tf.Variable[], step: number): void {
  const broken = variables.find(isBroken);
  if (broken) throw new Error(`${task}: ${broken.name} holds values that are no numbers after step ${step}.`);
}

const isBroken = (x?: tf.Tensor): boolean => x !== undefined && !x.dataSync().every(Number.isFinite);

/** The first variable whose values, else whose gradient, are no longer numbers; for a message. */
function culprit(variables: readonly tf.Variable[], { gradients }: StepGradients): string {
  const value = variables.find(isBroken);
  if (value) return `; ${value.name} holds values that are no numbers`;
  const index = gradients.findIndex(isBroken);
  return index < 0 ? "" : `; the gradient of ${variables[index].name} is no number`;
}

/** Names and exponentially smoothed values, as words for the progress line. */
function smoothing(): (values: Record<string, number>) => string {
  const smoothed: Record<string, number> = {};
  return (values) => {
    for (const [name, value] of Object.entries(values)) {
      smoothed[name] = 0.95 * (smoothed[name] ?? value) + 0.05 * value;
    }
    return Object.entries(smoothed)
      .map(([name, value]) => `${name} ${value.toFixed(3)}`)
      .join(", ");
  };
}
