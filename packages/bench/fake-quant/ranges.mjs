// node packages/bench/fake-quant/ranges.mjs (after a build): signal-to-noise ratio of four-bit quantization, in dB, by the
// rule that set the range. 100,000 samples of each source, seed 1.
import "@tensorflow/tfjs-backend-cpu";
import "@tensorflow/tfjs-backend-wasm";
import * as fq from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";

await tf.setBackend("wasm");
const count = 100_000;
const gauss = tf.randomNormal([count], 0, 1, "float32", 1).dataSync();
const laplace = tf
  .randomUniform([count], -0.5, 0.5, "float32", 1)
  .dataSync()
  .map((u) => -Math.sign(u) * Math.log(1 - 2 * Math.abs(u)));
const sources = { Gauss: gauss, Laplace: laplace, "Gauss after ReLU": gauss.map((v) => Math.max(0, v)) };
const grid = { bits: 4 };
const rules = {
  minMaxRange: (x) => fq.minMaxRange(x),
  "sigmaRange, k = 3": (x) => fq.sigmaRange(fq.moments(x)),
  laplaceRange: (x) => fq.laplaceRange(x, grid.bits),
  gaussRange: (x) => fq.gaussRange(fq.moments(x), grid.bits),
  "percentileRange, 99.9": (x) => fq.percentileRange(x),
  mseRange: (x) => fq.mseRange(x, grid),
};
console.log(["".padEnd(22), ...Object.keys(sources)].join("  "));
for (const [name, rule] of Object.entries(rules)) {
  const row = Object.entries(sources).map(([source, x]) => {
    const decibels = tf.tidy(() => {
      const signal = tf.tensor1d(x);
      const q = fq.affineQuantizer(fq.affineFromRange(rule(x), grid));
      const noise = tf.mean(tf.squaredDifference(signal, q.fakeQuantize(signal))).dataSync()[0];
      return 10 * Math.log10(tf.mean(tf.square(signal)).dataSync()[0] / noise);
    });
    return decibels.toFixed(2).padStart(source.length);
  });
  console.log([name.padEnd(22), ...row].join("  "));
}
