import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Parameters, quantizingHooks } from "@bitdiet/compression-aware";
import { batches, encodeExamples, stepsPerEpoch, tokenCounts } from "@bitdiet/zoo/data/text-batches";
import { tokenizerFromVocabulary } from "@bitdiet/zoo/data/tokenizer";
import { learnVocabulary } from "@bitdiet/zoo/data/vocabulary";
import { bert, initialBert } from "@bitdiet/zoo/nets/bert";
import { activationGrid, bertQuantizers } from "@bitdiet/zoo/nets/bert-quantizers";
import { UsageError } from "@bitdiet/zoo/runner/command-line";
import { scalesOnGrid } from "@bitdiet/zoo/shipping/file-precision";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { calibratedScales, fineTuneBert, type QuantizedBert } from "@bitdiet/zoo/training/bert";
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { predict, trainFloat } from "../mails/float.js";
import { parseOptions } from "../mails/options.js";
import { deploy, dequantizedParameters } from "../mails/task.js";

// Sentences whose class one word decides: enough to see a pipeline work, small enough for every test run.
const WORDS = ["cat", "dog", "sun", "rain", "tree", "road", "house", "river"];
const examples = Array.from({ length: 160 }, (_, i) => {
  const words = Array.from({ length: 2 + (i % 9) }, (_, j) => WORDS[(i * 7 + j * (3 + (i % 5))) % 8]);
  const label = i % 2;
  words.splice(i % words.length, 0, label === 1 ? "good" : "bad");
  return { first: words.join(" "), label };
});
const vocabulary = learnVocabulary(
  examples.map(({ first }) => first),
  64,
);
const tokenizer = tokenizerFromVocabulary(vocabulary);
const config = {
  vocabSize: tokenizer.vocabSize,
  hiddenSize: 16,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  intermediateSize: 32,
  maxPositionEmbeddings: 24,
  typeVocabSize: 2,
  layerNormEps: 1e-12,
  numLabels: 2,
};
const training = encodeExamples(tokenizer, examples, 24);
const held = encodeExamples(tokenizer, examples.slice(0, 60), 24);
const data = { config, training, development: { held } };
const tuning = {
  activationBits: 4,
  weightBits: 4,
  lambda: 0.1,
  weightLambda: 0.1,
  factor: 2,
  weightFactor: 2,
  epochs: 2,
  learningRate: 1e-3,
  seed: 1,
  distill: false,
};

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "bert-"));
  await useBackend("wasm");
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true }));

describe("batches", () => {
  test("hold every example at most once an epoch, in another order the next, the same in every run", () => {
    const batch = batches(training, 2, 3);
    const again = batches(training, 2, 3);
    const steps = stepsPerEpoch(training);
    expect(steps).toBe(5);
    const rowsOf = (from: typeof batch, step: number) => {
      const { input, labels } = from(step);
      const [count, length] = input.ids.shape;
      const ids = input.ids.dataSync();
      const rows = Array.from({ length: count }, (_, i) =>
        [...ids.subarray(i * length, (i + 1) * length)].filter((id) => id !== 0).join(),
      );
      tf.dispose([...Object.values(input), labels]);
      return rows;
    };
    const epoch = (first: number) => Array.from({ length: steps }, (_, i) => rowsOf(batch, first + i));
    const [one, two] = [epoch(0), epoch(steps)];
    expect(one).not.toEqual(two);
    expect(one.flat().sort()).toEqual(two.flat().sort());
    expect(rowsOf(again, 7)).toEqual(two[2]);
  });

  test("are as long as their longest text, a multiple of 8 or all that was encoded", () => {
    const batch = batches(training, 2, 1);
    const counts = tokenCounts(training.texts);
    expect([Math.min(...counts), Math.max(...counts)]).toEqual([5, 13]);
    const lengths = Array.from({ length: stepsPerEpoch(training) }, (_, step) => {
      const { input, labels } = batch(step);
      const [, length] = input.ids.shape;
      tf.dispose([...Object.values(input), labels]);
      return length;
    });
    // 160 texts in order of their length: two batches of up to 8 tokens, three of up to 13.
    expect(lengths.sort((a, b) => a - b)).toEqual([8, 8, 16, 16, 16]);
  });
});

describe("the quantizers", () => {
  test("cover every weight and every activation of the model, each once, and nothing else", () => {
    const parameters = initialBert(config, 1);
    const scales = calibratedScales(parameters, config, training, tuning);
    const seen: string[] = [];
    const matrices = Object.entries(parameters).filter(([, { rank }]) => rank === 2);
    tf.tidy(() => {
      const quantizers = bertQuantizers(scales, tuning);
      const hooks = quantizingHooks(quantizers);
      const { input } = batches(training, 2, 1)(0);
      bert(parameters, config, input, {
        weight: (w, name) => {
          seen.push(`weight ${name}`);
          return hooks.weight(w, name);
        },
        activation: (a, name) => {
          seen.push(`activation ${name}`);
          return hooks.activation(a, name);
        },
      });
    });
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.filter((name) => name.startsWith("weight")).sort()).toEqual(
      matrices.map(([name]) => `weight ${name}`).sort(),
    );
    expect(seen.length - matrices.length).toBe(2 + 8 + 1);
    expect(seen.sort()).toEqual(
      [
        ...Object.keys(scales.weight).map((name) => `weight ${name}`),
        ...Object.keys(scales.activation).map((name) => `activation ${name}`),
      ].sort(),
    );
    // A step a column of a matrix, one a table; one a head of probabilities, one any other activation.
    expect((scales.weight["bert.pooler.dense.weight"] as Float32Array).length).toBe(16);
    expect(scales.weight["bert.embeddings.word_embeddings.weight"]).toBeTypeOf("number");
    const probabilities = "bert.encoder.layer.0.attention.self.probabilities";
    expect((scales.activation[probabilities] as Float32Array).length).toBe(2);
    expect(scales.activation["bert.pooler"]).toBeTypeOf("number");
    tf.dispose(parameters);
  });

  test("give each activation the grid of its sign", () => {
    const levels = (name: string, bits: number) =>
      tf.tidy(() => {
        const scales = { weight: {}, activation: { [name]: 1 } };
        return [
          ...bertQuantizers(scales, { activationBits: bits, weightBits: 4 })
            .activation(name)
            .levels.dataSync(),
        ];
      });
    const ends = (name: string, bits: number) => [levels(name, bits)[0], levels(name, bits).at(-1)];
    expect(ends("bert.encoder.layer.0.attention.self.query", 4)).toEqual([-7, 7]);
    expect(ends("bert.encoder.layer.0.attention.self.probabilities", 4)).toEqual([0, 15]);
    expect(ends("bert.encoder.layer.0.intermediate", 4)).toEqual([-1, 14]);
    expect(ends("bert.encoder.layer.0.intermediate", 8)).toEqual([-16, 239]);
    expect(activationGrid("bert.encoder.layer.0.intermediate", 2)).toEqual({ bits: 2, zeroPoint: 1 });
  });

  test("say which tensor has no scale", () => {
    const quantizers = bertQuantizers({ weight: {}, activation: {} }, tuning);
    expect(() => quantizers.weight("x.weight")).toThrow('scales.weight: expected one for "x.weight"');
  });

  test("have steps on the grid of the file", () => {
    const { weight } = scalesOnGrid({ weight: { a: 0.29, b: Float32Array.of(1, 1.7) }, activation: {} });
    expect(weight["a"]).toBeCloseTo(2 ** (-29 / 16), 7);
    expect([...(weight["b"] as Float32Array)]).toEqual([1, Math.fround(2 ** (12 / 16))]);
  });
});

describe("a short run of the whole pipeline", () => {
  let start: Parameters;
  let network: QuantizedBert;
  beforeAll(async () => {
    start = await trainFloat(initialBert(config, 1), config, training, {
      epochs: 12,
      learningRate: 1e-2,
      dropout: 0,
      seed: 1,
    });
    network = await fineTuneBert(start, config, training, "test", tuning);
  }, 120_000);

  test("learns the word that decides, and keeps it quantized", () => {
    const right = (predicted: Int32Array) => predicted.filter((label, i) => label === held.labels[i]).length;
    expect(right(predict(held, (input) => bert(start, config, input)))).toBe(60);
    const hooks = quantizingHooks(bertQuantizers(network.scales, network));
    expect(right(predict(held, (input) => bert(network.parameters, config, input, hooks)))).toBeGreaterThan(
      54,
    );
  });

  test("answers on decoded bytes what it answered in training's graph", async () => {
    const before = tf.memory().numTensors;
    const { predictions, activations, weights, file } = await deploy(network, data);
    expect(tf.memory().numTensors).toBe(before);
    expect(predictions["held"].decoded).toEqual(predictions["held"].graph);
    // Every token's values are coded, padding's are not: 60 texts, 1 row a token of 16 channels.
    const tokens = tokenCounts(held.texts).reduce((sum, count) => sum + count, 0);
    const pairs = tokenCounts(held.texts).reduce((sum, count) => sum + 2 * count * count, 0);
    const values = Object.fromEntries(activations.map((one) => [one.name, one.values]));
    expect(values["bert.embeddings"]).toBe(16 * tokens);
    expect(values["bert.encoder.layer.0.intermediate"]).toBe(32 * tokens);
    expect(values["bert.encoder.layer.0.attention.self.probabilities"]).toBe(pairs);
    expect(values["bert.pooler"]).toBe(16 * 60);
    expect(weights.bytes).toBe(file.length);
    // Biases and LayerNorm as bfloat16, every step in a few bits.
    const kept = Object.entries(network.parameters).filter(([name]) => !(name in network.scales.weight));
    const exact = 2 * kept.reduce((sum, [, { size }]) => sum + size, 0);
    const parts = weights.layers.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(file.length - parts).toBeLessThan(exact + 60 * Object.keys(network.parameters).length);
  }, 60_000);

  test("ships parameters that are what training's graph had, bit for bit", async () => {
    const shipped = await dequantizedParameters(await deploy(network, data));
    const { weight } = bertQuantizers(network.scales, network);
    for (const [name, tensor] of Object.entries(shipped)) {
      const own = network.parameters[name];
      const expected = tf.tidy(() =>
        (name in network.scales.weight ? weight(name).fakeQuantize(own) : own).dataSync(),
      );
      expect(tensor.dataSync(), name).toEqual(expected);
    }
    expect(Object.keys(shipped).sort()).toEqual(Object.keys(network.parameters).sort());
    tf.dispose(shipped);
  }, 60_000);

  test("ends with the same weights after an interruption as without one", async () => {
    const path = join(folder, "run.safetensors");
    const checkpoint = { path, every: stepsPerEpoch(training), resume: true };
    const whole = await fineTuneBert(start, config, training, "whole", tuning);
    // Interrupted in the second epoch: the batch after the first epoch's checkpoint cannot be read.
    let reads = 0;
    const failing = new Proxy(training, {
      get: (data, key) => {
        if (key === "labels" && ++reads > 32 * 6 + 20) throw new Error("interrupted");
        return data[key as keyof typeof data];
      },
    });
    await expect(fineTuneBert(start, config, failing, "cut", { ...tuning, checkpoint })).rejects.toThrow(
      "interrupted",
    );
    expect(readFileSync(path).length).toBeGreaterThan(1000);
    const resumed = await fineTuneBert(start, config, training, "resumed", { ...tuning, checkpoint });
    expect(resumed.scales).toEqual(whole.scales);
    for (const [name, tensor] of Object.entries(whole.parameters)) {
      expect(resumed.parameters[name].dataSync(), name).toEqual(tensor.dataSync());
    }
    tf.dispose([whole.parameters, resumed.parameters]);
  }, 60_000);

  test("can be taught by the float network", async () => {
    const taught = await fineTuneBert(start, config, training, "taught", { ...tuning, distill: true });
    const name = "classifier.weight";
    expect(taught.parameters[name].dataSync()).not.toEqual(network.parameters[name].dataSync());
    tf.dispose(taught.parameters);
  }, 60_000);
});

describe("the options", () => {
  const wrong = (...argv: string[]) => {
    try {
      parseOptions(argv);
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError);
      return (error as Error).message;
    }
    return undefined;
  };

  test("are the mail job unless given", () => {
    expect(parseOptions([])).toMatchObject({
      task: "spam",
      bits: 4,
      weightBits: 4,
      maxLength: 64,
      epochs: 2,
    });
  });

  test("start a checkpoint with its own learning rates", () => {
    const { learningRate, epochs } = parseOptions([
      "--task",
      "rte",
      "--data",
      folder,
      "--checkpoint",
      folder,
      "--epochs",
      "0",
    ])!;
    expect([learningRate, epochs]).toEqual([3e-5, 0]);
  });

  test("are checked, each with a line that says what was expected", () => {
    expect(wrong("--task", "mnist")).toMatch(/^--task: expected one of spam, cola, .*, tsv, got "mnist"$/);
    expect(wrong("--task", "cola")).toBe("--data: expected the folder of cola");
    expect(wrong("--task", "cola", "--data", "/no/such")).toBe("--data: there is no folder /no/such");
    expect(wrong("--data", folder)).toBe("--data: the mails come with the install");
    expect(wrong("--bits", "1")).toBe("--bits: expected a whole number from 2 to 8, got 1");
    expect(wrong("--weight-bits", "4.5")).toBe("--weight-bits: expected a whole number from 2 to 8, got 4.5");
    expect(wrong("--lambda", "x")).toBe('--lambda: expected a number from 0 to 100, got "x"');
    expect(wrong("--max-length", "4")).toBe("--max-length: expected a whole number from 8 to 512, got 4");
    expect(wrong("--epochs", "0")).toBe("--epochs: expected a whole number from 1 to 1000, got 0");
    expect(wrong("--first", "a")).toBe("--first, --second and --label: only with --task tsv");
    expect(wrong("--task", "tsv", "--data", folder)).toMatch(/^--task tsv: expected --first and --label/);
    expect(wrong("--backend", "gpu")).toBe('--backend: expected wasm or cpu, got "gpu"');
    expect(wrong("--no-such-thing")).toMatch(/Unknown option/);
    expect(wrong("extra")).toBe("Unused args: `extra`");
  });
});
