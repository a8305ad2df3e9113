// The float start of everything: MobileNet's features and new heads, trained together on marked boxes.
import type { Parameters } from "@bitdiet/compression-aware";
import { multiboxLoss } from "@bitdiet/zoo/detection/multibox-loss";
import { initialHeads, isFeature, mobilenetFeatures, mobilenetSsd } from "@bitdiet/zoo/nets/mobilenet-ssd";
import { variables } from "@bitdiet/zoo/nets/parameters";
import { type Checkpoint, gradientsOf, train } from "@bitdiet/zoo/training/loop";
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { batches, type Picture } from "./pictures.js";

export interface FloatTraining {
  steps: number;
  seed: number;
  checkpoint: Checkpoint;
}

/** Features have been trained before, on more than there is here. */
const LEARNING_RATES = { features: 5e-4, heads: 2e-3 };

/** @param classes without the background */
export async function trainFloat(
  network: LayersModel,
  classes: number,
  pictures: readonly Picture[],
  { steps, seed, checkpoint }: FloatTraining,
): Promise<Parameters> {
  const features = mobilenetFeatures(network);
  const start = { ...features, ...initialHeads(features, classes, seed) };
  const parameters = variables(start);
  tf.dispose(start);
  const all = Object.entries(parameters);
  const [pretrained, added] = [true, false].map((isOld) => all.filter(([name]) => isFeature(name) === isOld));
  const batch = batches(pictures, seed);
  await train({
    task: "float",
    steps,
    groups: [
      { variables: pretrained.map(([, variable]) => variable), learningRate: LEARNING_RATES.features },
      { variables: added.map(([, variable]) => variable), learningRate: LEARNING_RATES.heads },
    ],
    gradients: gradientsOf((step) => {
      const { x, targets } = batch(step);
      return multiboxLoss(mobilenetSsd(parameters, x), targets);
    }),
    checkpoint,
  });
  return parameters;
}
