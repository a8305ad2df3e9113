import { readFile } from "node:fs/promises";
import * as tf from "@tensorflow/tfjs-core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fixture } from "../../src/data/outside.js";
import { type BertConfig, type BertInput, bert, initialBert } from "../../src/nets/bert.js";
import { readCheckpoint } from "../../src/nets/checkpoint-file.js";
import { seededDropout } from "../../src/nets/dropout.js";
import { parametersFromPyTorch, variables } from "../../src/nets/parameters.js";
import { useBackend } from "../../src/training/backend.js";

const expectedPath = fixture("tiny-bert/expected.json");
const modelPath = fixture("tiny-bert/model.safetensors");

const tiny: BertConfig = {
  vocabSize: 120,
  hiddenSize: 32,
  numHiddenLayers: 2,
  numAttentionHeads: 4,
  intermediateSize: 64,
  maxPositionEmbeddings: 24,
  typeVocabSize: 2,
  layerNormEps: 1e-12,
  numLabels: 3,
};

for (const backend of ["cpu", "wasm"] as const) {
  describe(`BERT on ${backend}`, () => {
    beforeEach(() => useBackend(backend));
    afterEach(() => tf.disposeVariables());

    it.skipIf(!expectedPath || !modelPath)(
      "gives PyTorch's logits and pooled vectors within 1e-4",
      async () => {
        const expected = JSON.parse(await readFile(expectedPath!, "utf8"));
        const parameters = parametersFromPyTorch((await readCheckpoint(modelPath!)).tensors);
        const before = tf.memory().numTensors;
        const seen: Record<string, number[][]> = {};
        const logits = tf.tidy(() => {
          const input = {
            ids: tf.tensor2d(expected.input_ids, undefined, "int32"),
            mask: tf.tensor2d(expected.attention_mask, undefined, "int32"),
            tokenTypes: tf.tensor2d(expected.token_type_ids, undefined, "int32"),
          };
          const activation = <T extends tf.Tensor>(a: T, name: string) => {
            if (name === "bert.pooler" || name.endsWith("1.output.LayerNorm"))
              seen[name] = a.arraySync() as number[][];
            return a;
          };
          return bert(parameters, tiny, input, { activation }).arraySync();
        });
        expectClose(logits, expected.logits, 1e-4);
        expectClose(seen["bert.pooler"]!, expected.pooled, 1e-4);
        const last = seen["bert.encoder.layer.1.output.LayerNorm"]!;
        expectClose([last[0]!, last[12]!], expected.last_hidden_first_token, 1e-4);
        expect(tf.memory().numTensors).toBe(before);
        tf.dispose(parameters);
      },
    );

    it("has the gradient that finite differences have, in every kind of parameter, dropout included", () => {
      const config = {
        ...tiny,
        vocabSize: 11,
        hiddenSize: 8,
        numAttentionHeads: 2,
        intermediateSize: 12,
        numHiddenLayers: 1,
      };
      const initial = initialBert(config, 3);
      // Larger weights than a fresh start's, so that attention and GELU are not linear.
      const parameters = variables(
        mapValues(initial, (tensor) => (tensor.rank === 2 ? tf.mul(tensor, 25) : tensor)),
      );
      const input = batch(
        [
          [2, 5, 7, 3, 0],
          [2, 9, 5, 3, 6],
        ],
        [
          [1, 1, 1, 1, 0],
          [1, 1, 1, 1, 1],
        ],
        [
          [0, 0, 1, 1, 0],
          [0, 1, 1, 1, 1],
        ],
      );
      const labels = tf.oneHot(tf.tensor1d([0, 2], "int32"), 3);
      const loss = () =>
        tf.tidy(() => {
          const logits = bert(parameters, config, input, {}, seededDropout(0.1, 5));
          return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
        });
      const { grads } = tf.variableGrads(loss);
      let checked = 0;
      for (const [name, variable] of Object.entries(parameters)) {
        const gradient = grads[variable.name]!.dataSync();
        const norm = Math.hypot(...gradient);
        if (name.endsWith("self.key.bias")) {
          // It adds the same to every score of a row, which softmax ignores.
          expect(norm).toBeLessThan(1e-5);
          continue;
        }
        expect(norm, name).toBeGreaterThan(1e-4);
        const original = variable.dataSync().slice() as Float32Array;
        const at = (step: number) => {
          variable.assign(
            tf.tensor(
              original.map((w, i) => w + (step * gradient[i]!) / norm),
              variable.shape,
            ),
          );
          return loss().dataSync()[0]!;
        };
        const slope = (at(5e-3) - at(-5e-3)) / 1e-2;
        at(0);
        expect(Math.abs(slope - norm) / norm, name).toBeLessThan(0.02);
        checked++;
      }
      expect(checked).toBe(Object.keys(parameters).length - 1);
      tf.dispose([initial, grads, labels, { ...input }]);
    });

    it("learns at a fixed shape and leaks nothing", () => {
      const config = { ...tiny, numLabels: 2, numHiddenLayers: 1 };
      const initial = initialBert(config, 1);
      const parameters = variables(initial);
      // The class is whether token 7 occurs.
      const rows = Array.from({ length: 8 }, (_, i) => [2, 10 + i, i % 2 ? 7 : 8, 20 + i, 3]);
      const input = batch(
        rows,
        rows.map((row) => row.map(() => 1)),
        rows.map((row) => row.map(() => 0)),
      );
      const labels = tf.oneHot(
        tf.tensor1d(
          rows.map((_, i) => i % 2),
          "int32",
        ),
        2,
      );
      const optimizer = tf.train.adam(1e-2);
      const losses: number[] = [];
      let tensors = 0;
      for (let step = 0; step < 20; step++) {
        const loss = optimizer.minimize(() => {
          const logits = bert(parameters, config, input, {}, seededDropout(0.1, step));
          return tf.losses.softmaxCrossEntropy(labels, logits) as tf.Scalar;
        }, true)!;
        losses.push(loss.dataSync()[0]!);
        loss.dispose();
        if (step === 1) tensors = tf.memory().numTensors;
      }
      expect(tf.memory().numTensors).toBe(tensors);
      expect(losses.at(-1)!).toBeLessThan(0.2 * losses[0]!);
      optimizer.dispose();
      tf.dispose([initial, labels, { ...input }]);
    });
  });
}

describe("BERT as a function", () => {
  beforeEach(() => useBackend("cpu"));

  it("shows 19 activations and every matrix and table to the hooks", () => {
    const parameters = initialBert(tiny, 1);
    const input = batch([[2, 5, 3]], [[1, 1, 1]], [[0, 0, 0]]);
    const activations: string[] = [];
    const weights: string[] = [];
    tf.tidy(() => {
      bert(parameters, tiny, input, {
        weight: (w, name) => {
          weights.push(name);
          return w;
        },
        activation: (a, name) => {
          activations.push(name);
          return a;
        },
      });
    });
    const matrices = Object.keys(parameters).filter((name) => parameters[name]!.rank === 2);
    expect(weights.sort()).toEqual(matrices.sort());
    expect(new Set(activations).size).toBe(19);
    expect(activations.filter((name) => name.includes("layer.1."))).toEqual(
      ["query", "key", "probabilities", "value"]
        .map((role) => `bert.encoder.layer.1.attention.self.${role}`)
        .concat(
          ["attention.self", "attention.output.LayerNorm", "intermediate", "output.LayerNorm"].map(
            (name) => `bert.encoder.layer.1.${name}`,
          ),
        ),
    );
    tf.dispose([parameters, { ...input }]);
  });

  it("goes on with what a hook returns", () => {
    const parameters = initialBert(tiny, 1);
    const input = batch([[2, 5, 3]], [[1, 1, 1]], [[0, 0, 0]]);
    const logits = tf.tidy(() =>
      bert(parameters, tiny, input, {
        activation: (a, name) => (name === "bert.pooler" ? tf.zerosLike(a) : a),
      }).dataSync(),
    );
    expect([...logits]).toEqual([0, 0, 0]);
    tf.dispose([parameters, { ...input }]);
  });

  it("does not see padding", () => {
    const parameters = initialBert(tiny, 2);
    const logits = [9, 77].map((padding) => {
      const input = batch([[2, 5, 3, padding]], [[1, 1, 1, 0]], [[0, 0, 0, 0]]);
      const result = tf.tidy(() => [...bert(parameters, tiny, input).dataSync()]);
      tf.dispose({ ...input });
      return result;
    });
    expect(logits[0]).toEqual(logits[1]);
    tf.dispose(parameters);
  });

  it("refuses sequences longer than its position table, and names a missing parameter", () => {
    const parameters = initialBert(tiny, 1);
    const long = Array.from({ length: 25 }, () => 1);
    const input = batch([long], [long], [long.map(() => 0)]);
    expect(() => tf.tidy(() => bert(parameters, tiny, input))).toThrow(/24 rows.*25 tokens/);
    tf.dispose({ ...input });
    const short = batch([[1]], [[1]], [[0]]);
    const { "classifier.weight": classifier, ...rest } = parameters;
    expect(() => tf.tidy(() => bert(rest, tiny, short))).toThrow(/"classifier.weight"/);
    tf.dispose([parameters, classifier!, { ...short }]);
  });
});

describe("dropout", () => {
  it("keeps the mean, repeats by seed and differs by name", () => {
    const x = tf.ones([100_001]);
    const drop = seededDropout(0.1, 7);
    const [a, again, other] = [drop(x, "a"), seededDropout(0.1, 7)(x, "a"), drop(x, "b")].map((t) =>
      t.dataSync(),
    );
    expect(again).toEqual(a);
    expect(other).not.toEqual(a);
    const zeros = a!.filter((value) => value === 0).length / a!.length;
    // Four standard deviations of a binomial of 100,001.
    expect(Math.abs(zeros - 0.1)).toBeLessThan(4 * Math.sqrt(0.09 / 100_001));
    expect(new Set(a)).toEqual(new Set([0, Math.fround(65536 / (65536 - 6554))]));
    expect(() => seededDropout(1, 0)).toThrow(RangeError);
  });
});

function batch(ids: number[][], mask: number[][], tokenTypes: number[][]): BertInput {
  return {
    ids: tf.tensor2d(ids, undefined, "int32"),
    mask: tf.tensor2d(mask, undefined, "int32"),
    tokenTypes: tf.tensor2d(tokenTypes, undefined, "int32"),
  };
}

function mapValues<A, B>(record: Record<string, A>, change: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));
}

function expectClose(actual: number[][], expected: number[][], tolerance: number): void {
  expect(actual.map((row) => row.length)).toEqual(expected.map((row) => row.length));
  const difference = actual.flatMap((row, i) => row.map((value, j) => Math.abs(value - expected[i]![j]!)));
  expect(Math.max(...difference)).toBeLessThan(tolerance);
}
