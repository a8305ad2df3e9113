// A fine-tuning run: compression-aware training of copies of a float network, in the one training loop. The quantizers'
// scales are learned along with a learning rate of their own, and are frozen when training ends.
import {
  type CompressionAwareOptions,
  compressionAwareTraining,
  type FrozenScale,
  type Trained,
} from "@bitdiet/compression-aware";
import { gradientsOf, type Loss, type Training, train, type VariableGroup } from "./loop.js";

export interface FineTuning<S extends FrozenScale>
  extends Pick<Training, "task" | "steps" | "schedule" | "checkpoint">,
    CompressionAwareOptions<S> {
  /** Learning rates of Adam, falling over the run by the schedule; 1e-3 for parameters and 1e-2 for scales unless given. */
  learningRates?: { parameters: number; scales: number };
  /** Where it trains; on this thread unless given. */
  train?: TrainOn;
}

/** Trains on a loss, wherever its gradients are found. */
export type TrainOn = (training: Omit<Training, "gradients"> & { loss: Loss }) => Promise<void>;

/** On this thread. */
export const trainHere: TrainOn = ({ loss, ...training }) =>
  train({ ...training, gradients: gradientsOf(loss) });

/** Fine-tunes copies of the parameters; the scales are learned along, and frozen from here on. */
export async function fineTune<S extends FrozenScale>(tuning: FineTuning<S>): Promise<Trained<S>> {
  const { task, steps, schedule, checkpoint } = tuning;
  const { groups, loss, result } = fineTuning(tuning);
  await (tuning.train ?? trainHere)({ task, steps, groups, loss, schedule, checkpoint });
  return result();
}

/** The variables and the loss of a fine-tuning run, and what to keep of it at its end. */
export function fineTuning<S extends FrozenScale>({
  learningRates = { parameters: 1e-3, scales: 1e-2 },
  ...options
}: FineTuning<S>): { groups: VariableGroup[]; loss: Loss; result: () => Trained<S> } {
  const { parameters, logScales, loss, result } = compressionAwareTraining(options);
  const trained = Object.values(parameters).filter((parameter) => parameter.trainable);
  const groups = [
    { variables: trained, learningRate: learningRates.parameters },
    { variables: logScales, learningRate: learningRates.scales },
  ];
  return { groups, loss, result };
}
