/**
 * What the entropy term adds to a step of `fit` of a layers model: ResNet-20 on images of 32 × 32 × 3, 4-bit activations, 8-bit weights,
 * Adam, by `compressionAware` with lambda = 0 and above.
 */
import { compressionAware } from "@bitdiet/compression-aware";
import { foldBatchNorm } from "@bitdiet/zoo/nets/batch-norm";
import { initialCifarResnet } from "@bitdiet/zoo/nets/resnet";
import { cifarResnetLayers } from "@bitdiet/zoo/nets/resnet-layers";
import * as tf from "@tensorflow/tfjs-core";
import { cpuTimes, overheadRow } from "./overhead.js";

const BATCH = 64;
const SEED = 1;
const LAMBDA = 0.1;
const CLASSES = 10;

export async function layersOverhead(quick: boolean) {
  const parameters = initialCifarResnet(20, CLASSES, SEED);
  const folded = foldBatchNorm(parameters);
  const network = cifarResnetLayers(folded);
  tf.dispose([parameters, folded]);
  const x = tf.randomNormal([BATCH, 32, 32, 3], 0, 1, "float32", SEED);
  const y = tf.randomNormal([BATCH, CLASSES], 0, 1, "float32", SEED);
  const runs = [0, LAMBDA].map((lambda) => {
    const aware = compressionAware(network, { weightBits: 8, activationBits: 4, lambda });
    aware.model.compile({ optimizer: tf.train.adam(1e-5), loss: "meanSquaredError" });
    return aware;
  });
  const [plain, times] = await cpuTimes(
    runs.map(
      ({ model }) =>
        () =>
          model.trainOnBatch(x, y),
    ),
    quick ? 4 : 20,
  );
  for (const aware of runs) aware.dispose();
  network.dispose();
  tf.dispose([x, y]);
  return overheadRow("ResNet-20, layers model", 1024, plain, times);
}
