/**
 * The callback that `fit` is given: it says how far training is, which the schedule follows, and puts bits beside the loss.
 *
 *     await aware.model.fit(x, y, { epochs: 3, callbacks: aware.progress(console.log) });
 *     // epoch 1 of 3: loss 0.4521, weights 3.21 bits, activations 1.87 bits
 */
import type * as tf from "@tensorflow/tfjs-core";
import { Callback } from "@tensorflow/tfjs-layers";
import type { Kind, Position } from "./price.js";

type Logs = Parameters<Callback["onEpochEnd"]>[1] & Record<string, number | tf.Scalar>;

/**
 * @param print gets a line at the end of each epoch
 * @returns for `fit` and `fitDataset`; `history` then has "weightBits" and "activationBits" too
 */
export function progressCallback(
  position: Position,
  means: Record<Kind, tf.Variable>,
  priced: readonly Kind[],
  print: (line: string) => void = () => {},
): Callback {
  const callback = new Progress();
  let [epoch, batches] = [0, 0];
  const epochs = () => Math.max(1, Number(callback.params?.["epochs"] ?? 1));
  const batchesPerEpoch = (): number => {
    const { steps, samples, batchSize } = (callback.params ?? {}) as Record<string, number | undefined>;
    // A dataset of unknown length has as many as in the epoch before.
    return steps ?? (samples && batchSize ? Math.ceil(samples / batchSize) : batches);
  };
  callback.onTrainBegin = async () => {
    position.progress = 0;
  };
  callback.onEpochBegin = async (at) => {
    epoch = at;
  };
  callback.onBatchBegin = async (batch) => {
    const share = Math.min(1, batch / Math.max(1, batchesPerEpoch()));
    position.progress = Math.min(1, (epoch + share) / epochs());
  };
  callback.onBatchEnd = async (batch) => {
    batches = Math.max(batches, batch + 1);
  };
  callback.onEpochEnd = async (_, given) => {
    const logs = given as Logs;
    const parts = [`loss ${(await numberOf(logs["loss"])).toFixed(4)}`];
    for (const kind of priced) {
      const bits = await numberOf(means[kind]);
      logs[`${kind}Bits`] = bits;
      parts.push(`${kind === "weight" ? "weights" : "activations"} ${bits.toFixed(2)} bits`);
    }
    print(`epoch ${epoch + 1} of ${epochs()}: ${parts.join(", ")}`);
  };
  callback.onTrainEnd = async () => {
    position.progress = 1;
  };
  return callback;
}

/** Of functions that are put in: `fit` may call them without their object. */
class Progress extends Callback {}

/** Of what TF.js may still have on the device. */
async function numberOf(value: number | tf.Tensor | undefined): Promise<number> {
  return typeof value === "object" ? (await value.data())[0] : (value ?? NaN);
}
