// A ResNet-8 on random images of 16 a step, for programs of several ranks: what it learns does not matter, every bit does.
import * as tf from "@tensorflow/tfjs-core";
import { normal, uniform } from "../../src/data/random.js";
import { foldBatchNorm } from "../../src/nets/batch-norm.js";
import { variables } from "../../src/nets/parameters.js";
import { cifarResnet, initialCifarResnet } from "../../src/nets/resnet.js";
import type { Replica, Share } from "../../src/training/data-parallel.js";
import type { Loss } from "../../src/training/loop.js";
import { crossEntropy } from "../../src/training/losses.js";

const BATCH = 16;
const IMAGE = 32 * 32 * 3;

export function problem({ index, count }: Share): { variables: tf.Variable[]; loss: Loss } {
  const trained = variables(tf.tidy(() => foldBatchNorm(initialCifarResnet(8, 10, 1))));
  const size = BATCH / count;
  const [from, to] = [index * size, (index + 1) * size];
  const loss: Loss = (step, _, log) => {
    const random = uniform(1000 + step);
    const pixels = Float32Array.from({ length: BATCH * IMAGE }, normal(random));
    const labels = Int32Array.from({ length: BATCH }, () => 10 * random());
    const x = tf.tensor4d(pixels.subarray(from * IMAGE, to * IMAGE), [size, 32, 32, 3]);
    const targets = tf.cast(tf.oneHot(tf.tensor1d(labels.subarray(from, to), "int32"), 10), "float32");
    const error = crossEntropy(targets as tf.Tensor2D, cifarResnet(trained, x));
    log("nats", error);
    return error;
  };
  return { variables: Object.values(trained), loss };
}

export const replica: Replica<object> = async (_, share) => problem(share);
