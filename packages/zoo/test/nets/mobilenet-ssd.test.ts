import * as tf from "@tensorflow/tfjs-core";
import { model } from "@tensorflow/tfjs-layers";
import { beforeAll, expect, it } from "vitest";
import { dataFile } from "../../src/data/outside.js";
import { uniform } from "../../src/data/random.js";
import { priorBoxes } from "../../src/detection/priors.js";
import {
  initialHeads,
  isFeature,
  MOBILENET_PRIORS,
  mobilenetFeatures,
  mobilenetSsd,
} from "../../src/nets/mobilenet-ssd.js";
import { readLayers } from "../../src/nets/read-layers.js";
import { useBackend } from "../../src/training/backend.js";
import { distance } from "../detection/reference.js";

const path = dataFile("models/mobilenet-v1-025-imagenet-tfjs/model.json");
const { side } = MOBILENET_PRIORS;

beforeAll(() => useBackend("wasm"));

it.skipIf(!path)("has MobileNet's own features, and boxes for every prior", async () => {
  const network = await readLayers(path!);
  const features = mobilenetFeatures(network);
  const heads = initialHeads(features, 3, 1);
  const parameters = { ...features, ...heads };
  expect(Object.keys(parameters).filter(isFeature)).toEqual(Object.keys(features));

  const names = ["conv1", "conv_dw_2", "conv_pw_6", "conv_pw_13"].map((name) => `${name}_relu`);
  const outputs = names.map((name) => network.getLayer(name).getOutputAt(0) as never);
  const random = uniform(5);
  // As large as the model was made for; the detector's heads don't care.
  const x = tf.tensor4d(
    Float32Array.from({ length: 224 * 224 * 3 }, () => 2 * random() - 1),
    [1, 224, 224, 3],
  );
  const expected = model({ inputs: network.inputs, outputs }).predict(x) as tf.Tensor[];
  const shown: Record<string, tf.Tensor> = {};
  tf.tidy(() => {
    mobilenetSsd(parameters, x, {
      activation: (a, name) => {
        shown[name] = tf.keep(tf.clone(a));
        return a;
      },
    });
  });
  for (const [i, name] of names.entries()) {
    expect(shown[name].shape).toEqual(expected[i].shape);
    expect(distance(shown[name].dataSync(), expected[i].dataSync())).toBeLessThan(1e-4);
  }
  // 27 of the features, 3 of each extra layer, 2 filtered maps for each of 5 sources.
  expect(Object.keys(shown).length).toBe(27 + 2 * 3 + 2 * 5);

  const [before, seen] = [tf.memory().numTensors, new Set<string>()];
  const shapes = tf.tidy(() => {
    const { offsets, logits } = mobilenetSsd(parameters, tf.zeros([2, side, side, 3]), {
      weight: (w, name) => {
        seen.add(name);
        return w;
      },
    });
    return [offsets.shape, logits.shape];
  });
  expect(tf.memory().numTensors).toBe(before);
  const priors = priorBoxes(MOBILENET_PRIORS).length / 4;
  expect(shapes).toEqual([
    [2, priors, 4],
    [2, priors, 4],
  ]);
  expect(seen).toEqual(new Set(Object.keys(parameters).filter((name) => name.endsWith(".weight"))));
  tf.dispose([parameters, x, expected, shown]);
  network.dispose();
});
