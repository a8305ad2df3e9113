import "../setup.js";
import { entropy } from "@bitdiet/entropy-loss";
import { affineQuantizer } from "@bitdiet/fake-quant";
import * as tf from "@tensorflow/tfjs-core";
import { model as functional, layers, loadLayersModel, sequential } from "@tensorflow/tfjs-layers";
import { fromBitdiet } from "bitdiet/tfjs";
import { describe, expect, test } from "vitest";
import { type CompressionAwareLayers, compressionAware, type Rate } from "../../src/index.js";
import { pricing } from "../../src/layers/price.js";
import {
  type ContainerConfig,
  consumersOf,
  withLayerAfter,
  withoutLayer,
} from "../../src/layers/topology.js";
import { roundedToShort } from "../../src/layers/weight-quantizer.js";
import { predictions } from "./trained-alike.js";

const dense = (units = 2) => sequential({ layers: [layers.dense({ units, inputShape: [4] })] });

describe("the price", () => {
  const quantizer = affineQuantizer({ bits: 2, scale: 1 });
  const sharpness = { first: 1, last: 10 };
  /** Bits are the first value. */
  const rate: Rate = (x) => ({ x, bits: tf.reshape(tf.slice(tf.reshape(x, [-1]), 0, 1), []) as tf.Scalar });

  test("is lambda times the mean of all tensors by their sizes, for each kind by itself", () => {
    const { price, loss, means } = pricing({
      lambdas: { weight: 0.1, activation: 2 },
      warmUp: 0,
      sharpness,
      rate,
    });
    const before = tf.memory().numTensors;
    tf.tidy(() => {
      price("weight")(tf.fill([100], 2), quantizer, "a");
      price("weight")(tf.fill([300], 1), quantizer, "b");
      // The same again costs no more.
      price("weight")(tf.fill([300], 5), quantizer, "b");
      price("activation")(tf.fill([7], 3), quantizer, "a");
      expect(loss().dataSync()[0]).toBeCloseTo(0.1 * 1.25 + 2 * 3, 6);
    });
    expect(means.weight.dataSync()[0]).toBe(1.25);
    expect(means.activation.dataSync()[0]).toBe(3);
    expect(tf.memory().numTensors).toBe(before);
    expect(loss().dataSync()[0]).toBe(0);
  });

  test("rises over the warm-up, and hardens as training goes on", () => {
    const seen: number[] = [];
    const watched: Rate = (x, q, context) => {
      seen.push(context.sharpness);
      return rate(x, q, context);
    };
    const { price, loss, position } = pricing({
      lambdas: { weight: 1, activation: 1 },
      warmUp: 0.5,
      sharpness,
      rate: watched,
    });
    const costs = [0, 0.25, 0.5, 1].map((progress) => {
      position.progress = progress;
      return tf.tidy(() => {
        price("weight")(tf.ones([4]), quantizer, "w");
        return loss().dataSync()[0];
      });
    });
    expect(costs).toEqual([0, 0.5, 1, 1]);
    expect(seen.map((value) => value.toFixed(3))).toEqual(["1.000", "1.778", "3.162", "10.000"]);
  });

  test("gives its gradient to what is priced", () => {
    const { price, loss } = pricing({ lambdas: { weight: 3, activation: 1 }, warmUp: 0, sharpness, rate });
    const gradient = tf.grad((x: tf.Tensor) => {
      price("weight")(x, quantizer, "w");
      return loss();
    })(tf.tensor1d([4, 5]));
    expect([...gradient.dataSync()]).toEqual([3, 0]);
  });
});

describe("short floats", () => {
  test("are bfloat16 numbers, nearest, with the gradient of the identity", () => {
    const values = Float32Array.from([1, -1.00390625, 2.7182817, 1e-20, -0.1, 12345.678, 0]);
    const nearest = values.map((value) => {
      const word = new Uint32Array(Float32Array.of(value).buffer)[0];
      const low = new Float32Array(Uint32Array.of(word & 0xffff0000).buffer)[0];
      const high = new Float32Array(Uint32Array.of((word & 0xffff0000) + 0x10000).buffer)[0];
      return Math.abs(value - low) <= Math.abs(high - value) ? low : high;
    });
    const gradient = tf.grad((x: tf.Tensor) => tf.sum(roundedToShort(x)))(tf.tensor1d(values));
    expect(tf.tidy(() => roundedToShort(tf.tensor1d(values)).dataSync())).toEqual(nearest);
    expect([...gradient.dataSync()]).toEqual([1, 1, 1, 1, 1, 1, 1]);
  });
});

describe("topology", () => {
  const layer = (name: string, inboundNodes: ContainerConfig["layers"][number]["inboundNodes"]) => ({
    className: "Dense",
    name,
    config: { name },
    inboundNodes,
  });
  /** x -> a, twice; b adds both; b and a's second use are results. */
  const functional: ContainerConfig = {
    name: "model",
    layers: [
      layer("x", []),
      layer("a", [[["x", 0, 0, {}]], [["x", 0, 0, {}]]]),
      layer("b", [
        [
          ["a", 0, 0, {}],
          ["a", 1, 0, {}],
        ],
      ]),
    ],
    inputLayers: [["x", 0, 0]],
    outputLayers: [
      ["b", 0, 0],
      ["a", 1, 0],
    ],
  };
  const own = { className: "Q", config: { name: "q" } };

  test("a layer is put behind each use of another, and before the model's results only where wanted", () => {
    expect(consumersOf(functional, "a")).toEqual(["b", "b", ""]);
    const config = withLayerAfter(functional, "a", own, false);
    expect(config.layers.find(({ name }) => name === "b")?.inboundNodes).toEqual([
      [
        ["q", 0, 0, {}],
        ["q", 1, 0, {}],
      ],
    ]);
    expect(config.layers.at(-1)).toEqual({
      ...own,
      name: "q",
      inboundNodes: [[["a", 0, 0, {}]], [["a", 1, 0, {}]]],
    });
    expect(config.outputLayers).toEqual(functional.outputLayers);
    expect(withLayerAfter(functional, "a", own, true).outputLayers).toEqual([
      ["b", 0, 0],
      ["q", 1, 0],
    ]);
  });

  test("a layer is taken out, and put into a sequence", () => {
    const chain = { name: "model", layers: ["a", "b", "c"].map((name) => layer(name, undefined)) };
    const names = (config: ContainerConfig) => config.layers.map(({ config: { name } }) => name);
    expect(names(withoutLayer(chain, "b"))).toEqual(["a", "c"]);
    expect(names(withLayerAfter(chain, "b", own, false))).toEqual(["a", "b", "q", "c"]);
    expect(consumersOf(chain, "c")).toEqual([""]);
  });
});

describe("compressionAware", () => {
  test("names options that are out of range, and a model in which there is nothing to do", () => {
    const bad: [Partial<CompressionAwareLayers>, string][] = [
      [{ lambda: -1 }, "lambda: expected a number of at least 0, got -1"],
      [{ weightLambda: NaN }, "weightLambda: expected a number of at least 0, got NaN"],
      [{ warmUp: 2 }, "warmUp: expected 0 to 1, got 2"],
      [{ sharpness: { first: 0, last: 1 } }, "sharpness.first: expected a number above 0, got 0"],
      [{ rangeFactor: 0 }, "rangeFactor: expected a number above 0, got 0"],
      [{ weightBits: 1 }, "bits: expected an integer from 2 to 16 (signed), got 1"],
      [{ activationBits: 17 }, "bits: expected an integer from 1 to 16, got 17"],
      [{ weightBits: undefined }, "model: expected a layer with a kernel or a nonlinearity"],
    ];
    for (const [options, message] of bad) {
      const hidden = layers.dense({
        units: 2,
        inputShape: [4],
        activation: "activationBits" in options ? "relu" : undefined,
      });
      const model = sequential({ layers: [hidden, layers.dense({ units: 1 })] });
      expect(() => compressionAware(model, { weightBits: 4, lambda: 0.1, ...options })).toThrow(message);
    }
  });

  test("takes widths by layers' names: what has none stays as it is, bit for bit", async () => {
    const model = sequential({
      layers: [
        layers.dense({ units: 3, inputShape: [4], name: "in" }),
        layers.dense({ units: 2, name: "out" }),
      ],
    });
    const aware = compressionAware(model, {
      weightBits: (name) => (name === "in" ? 3 : undefined),
      lambda: 0,
    });
    expect((await aware.report()).tensors.map(({ name }) => name)).toEqual(["in/kernel"]);
    const loaded = await loadLayersModel(fromBitdiet(await aware.bytes()));
    const values = (of: typeof model) => (of.getLayer("out").getWeights()[0] as tf.Tensor).dataSync();
    expect(values(loaded as typeof model)).toEqual(values(model));
  });

  test("reports the entropy of what each activation gives on all inputs, of which a batch is a part", async () => {
    const network = sequential({
      layers: [
        layers.dense({ units: 6, activation: "relu", inputShape: [4] }),
        layers.dense({ units: 2, activation: "relu" }),
        layers.dense({ units: 1 }),
      ],
    });
    const aware = compressionAware(network, { weightBits: 4, activationBits: 3, lambda: 0 });
    const x = tf.randomNormal([150, 4], 0, 1, "float32", 1);
    await expect(aware.report(x)).rejects.toThrow("model: expected a step of training first");
    aware.model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
    await aware.model.fit(x, tf.ones([150, 1]), { epochs: 1 });
    const { numTensors } = tf.memory();
    const { activations } = await aware.report(x);
    expect(tf.memory().numTensors).toBe(numTensors);
    expect(activations.map(({ size }) => size)).toEqual([900, 300]);
    for (const { name, after } of activations) {
      const upTo = functional({ inputs: aware.model.inputs, outputs: aware.model.getLayer(name).output });
      const values = (upTo.predict(x) as tf.Tensor).dataSync();
      const levels = [...new Set(values)];
      const indices = Int32Array.from(values, (value) => levels.indexOf(value));
      expect(after).toBeCloseTo(entropy(indices, levels.length), 9);
    }
    await expect(aware.report(tf.zeros([0, 4]))).rejects.toThrow("inputs: expected examples, got none");
  });

  test("moves steps and weights of layers that are trained, and only steps' layers that are", async () => {
    const model = sequential({
      layers: [
        layers.dense({ units: 8, inputShape: [4], name: "in", trainable: false }),
        layers.dense({ units: 2, name: "out" }),
      ],
    });
    const aware = compressionAware(model, { weightBits: 4, lambda: 1 });
    const integers = async () => {
      const loaded = await loadLayersModel(fromBitdiet(await aware.bytes()));
      return ["in", "out"].map((name) => loaded.getLayer(name).getWeights()[0].dataSync());
    };
    const [frozen, start] = await integers();
    aware.model.compile({ optimizer: tf.train.adam(0.05), loss: "meanSquaredError" });
    const x = tf.randomNormal([16, 4], 0, 1, "float32", 2);
    await aware.model.fit(x, tf.zeros([16, 2]), { epochs: 10, callbacks: aware.progress() });
    const [after, moved] = await integers();
    expect(after).toEqual(frozen);
    expect(moved).not.toEqual(start);
  });

  test("keeps to the statistics of a norm that stays, and starts activations' steps at the first batch", async () => {
    const model = sequential({
      layers: [
        layers.batchNormalization({ inputShape: [2] }),
        layers.activation({ activation: "relu", name: "positive" }),
        layers.dense({ units: 1 }),
      ],
    });
    const aware = compressionAware(model, { weightBits: 4, activationBits: 4, lambda: 0, rangeFactor: 2 });
    aware.model.compile({ optimizer: tf.train.sgd(0), loss: "meanSquaredError" });
    await aware.model.fit(tf.tensor2d([3, -4, 6, 1], [2, 2]), tf.zeros([2, 1]));
    const values = Object.fromEntries(
      aware.model.weights.map(({ originalName }, i) => [
        originalName.split("/").at(-1),
        aware.model.getWeights()[i].dataSync(),
      ]),
    );
    expect([...values["moving_mean"], ...values["moving_variance"]]).toEqual([0, 0, 1, 1]);
    const largest = 6 / Math.sqrt(1 + 1e-3);
    expect(Math.exp(10 * values["log_step"][0])).toBeCloseTo((2 * largest) / 15, 4);
  });

  test("says in which layer a range is still unknown, and takes none from what it is not trained on", async () => {
    const model = sequential({
      layers: [
        layers.dense({ units: 2, inputShape: [4], activation: "relu", name: "hidden" }),
        layers.dense({ units: 1 }),
      ],
    });
    const aware = compressionAware(model, { weightBits: 4, activationBits: 4, lambda: 0 });
    await predictions(aware.model, tf.ones([1, 4]));
    await expect(aware.bytes()).rejects.toThrow(/training.*hidden_quantizer/);
  });

  test("prints bits beside the loss, and has them in the history", async () => {
    const lines: string[] = [];
    const aware = compressionAware(dense(), { weightBits: 4, lambda: 0.1 });
    aware.model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
    const callbacks = aware.progress((line) => lines.push(line));
    const { history } = await aware.model.fit(tf.ones([8, 4]), tf.ones([8, 2]), { epochs: 2, callbacks });
    expect(
      lines.map((line) => line.replaceAll(/[\d.]+ bits/g, "# bits").replace(/loss [\d.]+/, "loss #")),
    ).toEqual(["epoch 1 of 2: loss #, weights # bits", "epoch 2 of 2: loss #, weights # bits"]);
    expect(history["weightBits"].length).toBe(2);
  });

  test("disposes of all that it made", async () => {
    const model = dense();
    const before = tf.memory().numTensors;
    const aware = compressionAware(model, { weightBits: 4, activationBits: 4, lambda: 1 });
    await aware.report();
    aware.dispose();
    expect(tf.memory().numTensors).toBe(before);
  });
});
