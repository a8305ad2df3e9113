/** A short training run that writes its state often, for kills.ts to end and take up again: `tsx kills-training.ts state.safetensors`. */
import { normal, uniform } from "@bitdiet/zoo/data/random";
import { exitWith } from "@bitdiet/zoo/runner/command-line";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { gradientsOf, train } from "@bitdiet/zoo/training/loop";
import * as tf from "@tensorflow/tfjs-core";

await exitWith("kills-training", async () => {
  await useBackend("cpu");
  const w = tf.variable(tf.zeros([200, 40]), true, "w");
  const loss = (step: number) => {
    const gaussian = normal(uniform(step));
    const x = tf.tensor2d(
      Float32Array.from({ length: 16 * 200 }, () => gaussian()),
      [16, 200],
    );
    return tf.mean(tf.square(tf.sub(tf.matMul(x, w as tf.Tensor2D), 1))) as tf.Scalar;
  };
  await train({
    task: "kills",
    steps: 120,
    groups: [{ variables: [w], learningRate: 0.01 }],
    gradients: gradientsOf(loss),
    checkpoint: { path: process.argv[2], every: 2, resume: true },
  });
});
