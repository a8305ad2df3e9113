// node packages/bench/fake-quant/speed.mjs (after a build): milliseconds of fake quantization forward and backward on the
// wasm backend, against the same formula left to automatic differentiation and against one plain JavaScript loop.
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-wasm";
import "@tensorflow/tfjs-layers";
import {
  affineQuantizer,
  clipQuantizer,
  clusterLoss,
  codebookQuantizer,
  noiseQuantizer,
  softClusterLoss,
  straightThrough,
  ternaryQuantizer,
  uniformNoise,
} from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";

await tf.setBackend("wasm");
const rounds = 25;
const shape = [64, 16, 32, 32]; // a feature map of ResNet-20 at batch 64: 1,048,576 values
const x = tf.relu(tf.randomNormal(shape, 0, 1, "float32", 1));
const dy = tf.randomNormal(shape, 0, 1, "float32", 3);
const w = tf.randomNormal([3, 3, 64, 128], 0, 1, "float32", 2);
const scale = tf.scalar(0.2);
const clip = tf.scalar(3);
const channels = tf.fill([128], 0.1);
const bits = tf.fill([w.size / 8], 5.5);
const noise = uniformNoise(1);
const ternary = ternaryQuantizer({ scale: 1, threshold: 0.5 });

const composed = (x, s) => tf.mul(straightThrough(tf.round, tf.clipByValue(tf.div(x, s), 0, 15)), s);
const loop = tf.customGrad((x, s, save) => {
  save([x, s]);
  const values = x.dataSync();
  const step = s.dataSync()[0];
  const out = new Float32Array(values.length);
  const even = 6755399441055744; // 1.5 * 2^52: adding it rounds to an integer, ties to even
  for (let i = 0; i < out.length; i++) {
    const v = Math.fround(values[i] / step);
    out[i] = (Math.min(Math.max(v, 0), 15) + even - even) * step;
  }
  const gradFunc = (dy, [x, s]) => {
    const values = x.dataSync();
    const upstream = dy.dataSync();
    const step = s.dataSync()[0];
    const dx = new Float32Array(values.length);
    let ds = 0;
    for (let i = 0; i < dx.length; i++) {
      const v = Math.fround(values[i] / step);
      if (v > 15) ds += upstream[i] * 15;
      else if (v >= 0) {
        dx[i] = upstream[i];
        ds += upstream[i] * (v + even - even - v);
      }
    }
    return [tf.tensor(dx, x.shape), tf.scalar(ds)];
  };
  return { value: tf.tensor(out, x.shape), gradFunc };
});

const contenders = {
  "affine, constant scale": () => tf.grad(affineQuantizer({ bits: 4, scale: 0.2 }).fakeQuantize)(x, dy),
  "affine, learned scale (LSQ)": () =>
    tf.grads((x, s) => affineQuantizer({ bits: 4, scale: s }).fakeQuantize(x))([x, scale], dy),
  "clip, learned (PACT)": () =>
    tf.grads((x, c) => clipQuantizer({ bits: 4, clip: c }).fakeQuantize(x))([x, clip], dy),
  "the LSQ formula, differentiated by tfjs": () => tf.grads(composed)([x, scale], dy),
  "the LSQ formula, one JavaScript loop": () => tf.grads(loop)([x, scale], dy),
  quantize: () => affineQuantizer({ bits: 4, scale: 0.2 }).quantize(x),
  "affine, learned scale a channel, 73,728 weights": () =>
    tf.grads((w, s) => affineQuantizer({ bits: 8, signed: true, scale: s }).fakeQuantize(w))([w, channels]),
  "codebook of 16, 73,728 weights": () =>
    tf.grad(codebookQuantizer(Array.from({ length: 16 }, (_, i) => (i - 7.5) / 3)).fakeQuantize)(w),
  "ternary, 73,728 weights": () => tf.grad(ternary.fakeQuantize)(w),
  "noise, learned bits in groups of 8, 73,728 weights": () =>
    tf.grads((w, bits) => noiseQuantizer({ bits, groupSize: 8, noise }).fakeQuantize(w))([w, bits]),
  "clusterLoss, ternary, 73,728 weights": () => tf.grad((w) => clusterLoss(w, ternary))(w),
  "softClusterLoss, ternary, 73,728 weights": () =>
    tf.grad((w) => softClusterLoss(w, ternary, { sharpness: 10 }))(w),
};
const times = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
for (let round = -3; round < rounds; round++) {
  for (const [name, run] of Object.entries(contenders)) {
    const start = performance.now();
    tf.tidy(run);
    if (round >= 0) times[name].push(performance.now() - start);
  }
}
console.log(`wasm backend, ${rounds} alternating rounds, forward and backward: minimum / median ms`);
for (const [name, list] of Object.entries(times)) {
  list.sort((a, b) => a - b);
  console.log(`${name.padEnd(50)} ${list[0].toFixed(2).padStart(7)} / ${list[rounds >> 1].toFixed(2)}`);
}
