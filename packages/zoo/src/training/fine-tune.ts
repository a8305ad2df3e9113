// Quantization-aware fine-tuning of any model, with or without the entropy terms of compression-aware training (CAT;
// Baskin et al., JMLR 22, 2021): loss = task + lambda * activation bits + weight lambda * weight bits. The quantizers'
// ranges are learned along with a learning rate of their own, and are frozen when training ends.
import * as tf from "@tensorflow/tfjs-core";
import type { Hooks, Parameters } from "../nets/hooks.js";
import { gradientsOf, type Loss, type Show, type Training, train, type VariableGroup } from "./loop.js";
import { type FrozenRange, type Quantizers, quantize, type Ranges } from "./quantized.js";
import { type Pressure, rateMeter } from "./rates.js";

export interface FineTuning<R extends FrozenRange>
  extends Pick<Training, "task" | "steps" | "schedule" | "checkpoint"> {
  /** Where training starts; copies are trained. */
  start: Parameters;
  /** Which parameters are trained: all unless given. */
  trainable?: (name: string) => boolean;
  /** Where the ranges start: ln(step) by name, as many as there are quantized tensors. */
  ranges: Ranges<R>;
  /** The quantizers at these ranges; called at every step, inside its tidy. */
  quantizersOf: (ranges: Ranges<tf.Tensor>) => Quantizers;
  /** The task's loss on the batch of a step: reads `parameters`, and gives `hooks` to the model. */
  loss: (parameters: Parameters, hooks: Required<Hooks>, step: number, show: Show) => tf.Scalar;
  /** On the activations' bits; none unless given. */
  activationPressure?: Pressure;
  /** On the weights' bits; none unless given. */
  weightPressure?: Pressure;
  /** Share of the run over which both pressures rise from 0 in a straight line; 0 unless given. */
  warmUp?: number;
  /**
   * Of soft histograms, at the start and at the end, geometrically between; 1 and 10 unless given. The paper's is 10
   * throughout; starting soft lets every value feel the pull before the assignment hardens.
   */
  sharpness?: { first: number; last: number };
  /** Of Adam, falling over the run by the schedule; 1e-3 for parameters and 1e-2 for ranges unless given. */
  learningRates?: { parameters: number; ranges: number };
  /** Where it trains; on this thread unless given. */
  train?: TrainOn;
}

/** A network as fine-tuning leaves it. Integers follow from parameters and ranges. */
export interface FineTuned<R extends FrozenRange> {
  /** Variables; the caller disposes of them. */
  parameters: Parameters;
  ranges: Ranges<R>;
}

/** Trains on a loss, wherever its gradients are found. */
export type TrainOn = (training: Omit<Training, "gradients"> & { loss: Loss }) => Promise<void>;

/** On this thread. */
export const trainHere: TrainOn = ({ loss, ...training }) =>
  train({ ...training, gradients: gradientsOf(loss) });

/** Fine-tunes copies of `start`; the ranges are learned along, and frozen from here on. */
export async function fineTune<R extends FrozenRange>(tuning: FineTuning<R>): Promise<FineTuned<R>> {
  const { task, steps, schedule, checkpoint } = tuning;
  const { groups, loss, result } = fineTuning(tuning);
  await (tuning.train ?? trainHere)({ task, steps, groups, loss, schedule, checkpoint });
  return result();
}

/** The variables and the loss of a fine-tuning run, and what to keep of it at its end. */
export function fineTuning<R extends FrozenRange>({
  start,
  trainable = () => true,
  ranges: startRanges,
  quantizersOf,
  loss: taskLoss,
  activationPressure,
  weightPressure,
  warmUp = 0,
  sharpness: { first, last } = { first: 1, last: 10 },
  learningRates = { parameters: 1e-3, ranges: 1e-2 },
}: FineTuning<R>): { groups: VariableGroup[]; loss: Loss; result: () => FineTuned<R> } {
  const parameters = variables(start, trainable);
  const ranges = { weight: variables(startRanges.weight), activation: variables(startRanges.activation) };
  const groups = [
    {
      variables: Object.values(parameters).filter((parameter) => parameter.trainable),
      learningRate: learningRates.parameters,
    },
    {
      variables: [...Object.values(ranges.weight), ...Object.values(ranges.activation)],
      learningRate: learningRates.ranges,
    },
  ];
  const loss: Loss = (step, progress, show) => {
    const quantizers = quantizersOf(ranges);
    const { weight, activation } = quantize(quantizers);
    const sharpness = first * (last / first) ** progress;
    const weightRate = rateMeter(weightPressure);
    const activationRate = rateMeter(activationPressure);
    const hooks: Required<Hooks> = {
      weight: (w, name) => {
        const priced = weightPressure?.lambda
          ? weightRate.add(w, quantizers.weight(name), { name, sharpness, seed: step })
          : w;
        return weight(priced, name);
      },
      activation: (a, name) => {
        const priced = activationPressure?.lambda
          ? activationRate.add(a, quantizers.activation(name), { name, sharpness, seed: step })
          : a;
        return activation(priced, name);
      },
    };
    const task = taskLoss(parameters, hooks, step, show);
    const risen = warmUp > 0 ? Math.min(1, progress / warmUp) : 1;
    const [activationBits, weightBits] = [activationRate.mean(), weightRate.mean()];
    if (activationPressure?.lambda) show("bits", activationBits);
    if (weightPressure?.lambda) show("weight bits", weightBits);
    return tf.addN([
      task,
      tf.mul(activationBits, (activationPressure?.lambda ?? 0) * risen),
      tf.mul(weightBits, (weightPressure?.lambda ?? 0) * risen),
    ]);
  };
  const result = () => {
    const frozen = { weight: frozenOf<R>(ranges.weight), activation: frozenOf<R>(ranges.activation) };
    tf.dispose([ranges.weight, ranges.activation]);
    return { parameters, ranges: frozen };
  };
  return { groups, loss, result };
}

function variables(
  values: Record<string, tf.Tensor | FrozenRange>,
  trainable: (name: string) => boolean = () => true,
): Record<string, tf.Variable> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      tf.tidy(() => tf.variable(value instanceof tf.Tensor ? value : tf.tensor(value), trainable(name))),
    ]),
  );
}

/** Scalars as numbers, others as arrays: in the form that training was given them. */
function frozenOf<R extends FrozenRange>(ranges: Record<string, tf.Tensor>): Record<string, R> {
  return Object.fromEntries(
    Object.entries(ranges).map(([name, range]) => {
      const values = range.dataSync<"float32">();
      return [name, (range.rank === 0 ? values[0] : values) as R];
    }),
  );
}
