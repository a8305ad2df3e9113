import { copyFile, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { floatBytes, ModelFileError, writeModel } from "bitdiet";
import { writeFiles } from "bitdiet/node";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fixture } from "../../src/data/outside.js";
import { type BertConfig, bert, initialBert } from "../../src/nets/bert.js";
import { CheckpointError, readBertCheckpoint, writeBertCheckpoint } from "../../src/nets/bert-checkpoint.js";
import { type FloatTensor, readCheckpoint } from "../../src/nets/checkpoint-file.js";
import { pyTorchFromParameters } from "../../src/nets/parameters.js";
import { useBackend } from "../../src/training/backend.js";

const fixtureConfig = fixture("tiny-bert/config.json");
const fixtureModel = fixture("tiny-bert/model.safetensors");
const fixtureExpected = fixture("tiny-bert/expected.json");

const config: BertConfig = {
  vocabSize: 13,
  hiddenSize: 8,
  numHiddenLayers: 1,
  numAttentionHeads: 2,
  intermediateSize: 12,
  maxPositionEmbeddings: 6,
  typeVocabSize: 2,
  layerNormEps: 1e-12,
  numLabels: 3,
};
const json = {
  model_type: "bert",
  vocab_size: 13,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 12,
  max_position_embeddings: 6,
  type_vocab_size: 2,
};

let folder: string;
let entries: Record<string, FloatTensor>;

beforeAll(() => useBackend("cpu"));
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitdiet-bert-"));
  const parameters = initialBert(config, 4);
  entries = pyTorchFromParameters(parameters);
  tf.dispose(parameters);
  await put("config.json", json);
});
afterEach(() => {
  expect(tf.memory().numTensors).toBe(0);
});

const put = (file: string, content: unknown) =>
  writeFile(join(folder, file), content instanceof Uint8Array ? content : JSON.stringify(content));

/** Tensors as a safetensors file of one type, or of others for some. */
async function putTensors(
  file: string,
  tensors: Record<string, FloatTensor>,
  dtype: "float32" | "bfloat16" = "float32",
  others: Record<string, "int32"> = {},
): Promise<void> {
  const list = Object.entries(tensors).map(([name, { shape, values }]) => ({
    name,
    dtype: others[name] ?? dtype,
    shape: [...shape],
    use: { kind: "exact" as const, reason: "" },
    bytes: async () => floatBytes(dtype, values),
  }));
  const layout = JSON.stringify({ files: [{ name: file, tensors: list.length }] });
  const metadata = { layout: new TextEncoder().encode(layout) };
  await writeFiles(writeModel({ format: "safetensors", tensors: list, metadata }), folder, { force: true });
}

describe("reading a Hugging Face folder", () => {
  it.skipIf(!fixtureConfig || !fixtureModel || !fixtureExpected)(
    "gives the logits that PyTorch gives",
    async () => {
      await copyFile(fixtureConfig!, join(folder, "config.json"));
      await copyFile(fixtureModel!, join(folder, "model.safetensors"));
      const expected = JSON.parse(await readFile(fixtureExpected!, "utf8"));
      const checkpoint = await readBertCheckpoint(folder);
      expect(checkpoint.config).toMatchObject({ vocabSize: 120, numHiddenLayers: 2, numLabels: 3 });
      const logits = tf.tidy(() =>
        bert(checkpoint.parameters, checkpoint.config, {
          ids: tf.tensor2d(expected.input_ids, undefined, "int32"),
          mask: tf.tensor2d(expected.attention_mask),
          tokenTypes: tf.tensor2d(expected.token_type_ids, undefined, "int32"),
        }).dataSync(),
      );
      for (const [i, value] of expected.logits.flat().entries()) expect(logits[i]).toBeCloseTo(value, 4);
      expect([checkpoint.initialized, checkpoint.unused]).toEqual([[], []]);
      tf.dispose(checkpoint.parameters);
    },
  );

  it("reads half precision, shards and the oldest names of LayerNorm's parameters alike", async () => {
    const old = Object.fromEntries(
      Object.entries(entries).map(([name, entry]) => {
        const renamed = name
          .replace("LayerNorm.weight", "LayerNorm.gamma")
          .replace("LayerNorm.bias", "LayerNorm.beta");
        return [renamed.replace(/^bert\./, ""), entry];
      }),
    );
    const names = Object.keys(old);
    const shards = [names.slice(0, 9), names.slice(9)].map((part) =>
      Object.fromEntries(part.map((n) => [n, old[n]!])),
    );
    const files = shards.map((_, i) => `model-0000${i + 1}-of-00002.safetensors`);
    for (const [i, shard] of shards.entries()) await putTensors(files[i]!, shard, "bfloat16");
    const map = Object.fromEntries(
      shards.flatMap((shard, i) => Object.keys(shard).map((name) => [name, files[i]])),
    );
    await put("model.safetensors.index.json", { metadata: { total_size: 1 }, weight_map: map });
    const { parameters } = await readBertCheckpoint(folder, { numLabels: 3 });
    const back = pyTorchFromParameters(parameters);
    expect(Object.keys(back).sort()).toEqual(Object.keys(entries).sort());
    for (const [name, { values, shape }] of Object.entries(entries)) {
      expect(back[name]!.shape).toEqual(shape);
      // 8 significant bits.
      for (const [i, value] of (values as Float32Array).entries()) {
        expect(Math.abs((back[name]!.values[i] as number) - value)).toBeLessThanOrEqual(
          2 ** -8 * Math.abs(value),
        );
      }
    }
    tf.dispose(parameters);
  });

  it("starts a classifier and a pooler where there are none, the same for the same seed, and lists what it leaves", async () => {
    const bare = Object.fromEntries(
      Object.entries(entries).filter(([name]) => !/^(classifier|bert\.pooler)/.test(name)),
    );
    const head: FloatTensor = { shape: [13], values: new Float32Array(13) };
    await putTensors("model.safetensors", { ...bare, "cls.predictions.bias": head });
    const read = [1, 1, 2].map((seed) => readBertCheckpoint(folder, { numLabels: 2, seed }));
    const [first, again, other] = await Promise.all(read);
    expect(first!.initialized).toEqual([
      "bert.pooler.dense.weight",
      "bert.pooler.dense.bias",
      "classifier.weight",
      "classifier.bias",
    ]);
    expect(first!.unused).toEqual(["cls.predictions.bias"]);
    expect(first!.parameters["classifier.weight"]!.shape).toEqual([8, 2]);
    const values = (checkpoint: typeof first) => checkpoint!.parameters["classifier.weight"]!.dataSync();
    expect(values(again)).toEqual(values(first));
    expect(values(other)).not.toEqual(values(first));
    tf.dispose([first!, again!, other!].map(({ parameters }) => parameters));
  });

  it("names every tensor that is missing, of wrong shape, or not of floats", async () => {
    const { "bert.encoder.layer.0.attention.self.key.weight": _, ...rest } = entries;
    rest["bert.encoder.layer.0.intermediate.dense.weight"] = {
      shape: [8, 12],
      values: new Float32Array(96),
    };
    await putTensors("model.safetensors", rest, "float32", { "bert.embeddings.LayerNorm.bias": "int32" });
    const failure = readBertCheckpoint(folder, { numLabels: 3 });
    await expect(failure).rejects.toThrow(CheckpointError);
    await expect(failure).rejects.toThrow(
      /"bert.encoder.layer.0.attention.self.key.weight" is missing \(expected \[8,8\]\)/,
    );
    await expect(failure).rejects.toThrow(
      /"bert.encoder.layer.0.intermediate.dense.weight" is \[8,12\], expected \[12,8\]/,
    );
    await expect(failure).rejects.toThrow(/"bert.embeddings.LayerNorm.bias" is int32/);
  });

  it("refuses what is no BERT, a broken index and a broken file", async () => {
    await putTensors("model.safetensors", entries);
    await put("config.json", { ...json, model_type: "roberta", hidden_size: 9, hidden_act: "relu" });
    await expect(readBertCheckpoint(folder)).rejects.toThrow(
      /model_type is "roberta", expected "bert".*hidden_act is "relu".*hidden_size 9 is no multiple/,
    );
    await put("config.json", { ...json, vocab_size: "many" });
    await expect(readBertCheckpoint(folder)).rejects.toThrow(/vocab_size is "many"/);
    await writeFile(join(folder, "config.json"), "{");
    await expect(readBertCheckpoint(folder)).rejects.toThrow(/config.json is not JSON/);
    await put("config.json", json);
    await put("model.safetensors.index.json", { weight_map: { a: "../elsewhere.safetensors" } });
    await expect(readBertCheckpoint(folder)).rejects.toThrow(/expected a file inside the model's folder/);
    await put("model.safetensors.index.json", { weight_map: { a: "model.safetensors" } });
    await expect(readBertCheckpoint(folder)).rejects.toThrow(/a is not in model.safetensors/);
    await put("model.safetensors.index.json", {});
    await expect(readBertCheckpoint(folder)).rejects.toThrow(/weight_map/);
    const other = await mkdtemp(join(tmpdir(), "bitdiet-bert-"));
    await writeFile(join(other, "config.json"), JSON.stringify(json));
    await putTensors("model.safetensors", entries);
    const whole = await readFile(join(folder, "model.safetensors"));
    await writeFile(join(other, "model.safetensors"), whole.subarray(0, 500));
    await expect(readBertCheckpoint(other)).rejects.toThrow(ModelFileError);
  });
});

describe("writing a Hugging Face folder", () => {
  it("keeps names, layout, the rest of config.json and the tokenizer", async () => {
    await putTensors("model.safetensors", entries);
    await put("config.json", {
      ...json,
      hidden_dropout_prob: 0.1,
      num_labels: 3,
      id2label: { 0: "no", 1: "yes", 2: "maybe" },
    });
    await writeFile(join(folder, "vocab.txt"), "[PAD]\n[UNK]\n");
    const checkpoint = await readBertCheckpoint(folder);
    const copy = join(folder, "copy");
    await writeBertCheckpoint(copy, checkpoint, folder);
    expect((await readdir(copy)).sort()).toEqual(["config.json", "model.safetensors", "vocab.txt"]);
    const written = JSON.parse(await readFile(join(copy, "config.json"), "utf8"));
    expect(written).toMatchObject({
      architectures: ["BertForSequenceClassification"],
      hidden_dropout_prob: 0.1,
      id2label: { 0: "no", 1: "yes", 2: "maybe" },
      label2id: { no: 0, yes: 1, maybe: 2 },
    });
    expect(written).not.toHaveProperty("num_labels");
    // transformers refuses a file whose metadata does not name its framework.
    const file = await readCheckpoint(join(copy, "model.safetensors"));
    expect(file.metadata).toEqual({ format: "pt" });
    expect(file.tensors).toEqual(
      Object.fromEntries(
        Object.entries(entries).map(([name, entry]) => [name, { dtype: "float32", ...entry }]),
      ),
    );
    const again = await readBertCheckpoint(copy);
    expect(again.config).toEqual(checkpoint.config);
    tf.dispose([checkpoint.parameters, again.parameters]);
  });

  it("names the labels of a new task", async () => {
    const parameters = initialBert(config, 1);
    await writeBertCheckpoint(folder, { config, parameters, json: { id2label: { 0: "a", 1: "b" } } });
    const written = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    expect(written.id2label).toEqual({ 0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2" });
    tf.dispose(parameters);
  });
});
