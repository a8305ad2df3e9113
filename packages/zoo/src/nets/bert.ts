// BERT for sequence classification (Devlin et al. 2018) as a plain function with hooks, exactly Hugging Face's
// BertForSequenceClassification: LayerNorm after each sum, erf GELU, pooler. Example: BERT of 2 layers and hidden
// size 128 maps ids [32, 64] to logits [32, 2] and shows 19 activations: 2 for the embeddings, 8 a layer, the pooled.

import type { Hooks, Parameters } from "@bitdiet/compression-aware";
import { gelu, layerNorm } from "@bitdiet/wasm-training";
import * as tf from "@tensorflow/tfjs-core";
import { normal, uniform } from "../data/random.js";
import type { Dropout } from "./dropout.js";
import { namedSeed } from "./named-seed.js";
import { parameter } from "./parameters.js";

/** The sizes of a BERT, under the names of Hugging Face's config.json in camel case. */
export interface BertConfig {
  vocabSize: number;
  hiddenSize: number;
  numHiddenLayers: number;
  numAttentionHeads: number;
  intermediateSize: number;
  maxPositionEmbeddings: number;
  typeVocabSize: number;
  layerNormEps: number;
  numLabels: number;
}

/** A batch of token sequences, each tensor [batch, length]. */
export interface BertInput {
  /** Vocabulary indices, int32. */
  ids: tf.Tensor2D;
  /** 1 for a token, 0 for padding. */
  mask: tf.Tensor2D;
  /** Segment, int32: 0 for the first sentence, 1 for the second. */
  tokenTypes: tf.Tensor2D;
}

/**
 * The logits of a batch. Call it inside `tf.tidy` (or a gradient), as every model here.
 *
 * Activations shown to the hook, with E = "bert.embeddings" and L = "bert.encoder.layer.N": E (sum of the three
 * embeddings), E.LayerNorm; L.attention.self.query, .key, .value, each [batch · length, hidden];
 * L.attention.self.probabilities [batch, heads, length, length]; L.attention.self (the context);
 * L.attention.output.LayerNorm; L.intermediate (after GELU); L.output.LayerNorm; and "bert.pooler" [batch, hidden].
 * Weights: every matrix and the three embedding tables.
 *
 * @param dropout for training; by default nothing is dropped
 * @returns logits, [batch, labels]
 * @throws {RangeError} if a parameter is missing or the sequences are longer than the position table.
 */
export function bert(
  parameters: Parameters,
  config: Pick<BertConfig, "numHiddenLayers" | "numAttentionHeads" | "layerNormEps">,
  input: BertInput,
  hooks: Hooks = {},
  dropout: Dropout = (x) => x,
): tf.Tensor2D {
  const [batch, length] = input.ids.shape;
  const pass = passOf(parameters, config, hooks, dropout, batch, length);
  // Added to the scores: padding gets the probability exp(-1e9) = 0.
  const bias = tf.reshape(tf.mul(tf.sub(1, tf.cast(input.mask, "float32")), -1e9), [batch, 1, 1, length]);
  let x = embed(pass, input);
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    x = encode(pass, x, bias, `bert.encoder.layer.${layer}`);
  }
  return classify(pass, x);
}

/** What every step of one pass needs; names are those of parameters and activations. */
interface Pass {
  batch: number;
  length: number;
  heads: number;
  matrix(name: string): tf.Tensor2D;
  linear(x: tf.Tensor2D, name: string): tf.Tensor2D;
  norm(x: tf.Tensor2D, name: string): tf.Tensor2D;
  activation: NonNullable<Hooks["activation"]>;
  dropout: Dropout;
}

function passOf(
  parameters: Parameters,
  { numAttentionHeads: heads, layerNormEps }: Pick<BertConfig, "numAttentionHeads" | "layerNormEps">,
  { weight = (w) => w, activation = (a) => a }: Hooks,
  dropout: Dropout,
  batch: number,
  length: number,
): Pass {
  const matrix = (name: string) => weight(parameter<tf.Tensor2D>(parameters, name), name);
  return {
    batch,
    length,
    heads,
    matrix,
    linear: (x, name) =>
      tf.fused.matMul({
        a: x,
        b: matrix(`${name}.weight`),
        bias: parameter(parameters, `${name}.bias`),
      }) as tf.Tensor2D,
    norm(x, name) {
      const gamma = parameter<tf.Tensor1D>(parameters, `${name}.weight`);
      const beta = parameter<tf.Tensor1D>(parameters, `${name}.bias`);
      return activation(layerNorm(x, gamma, beta, layerNormEps), name);
    },
    activation,
    dropout,
  };
}

/** The sum of three embeddings, normalized: [batch · length, hidden]. */
function embed(
  { batch, length, matrix, norm, activation, dropout }: Pass,
  { ids, tokenTypes }: BertInput,
): tf.Tensor2D {
  const name = "bert.embeddings";
  const words = matrix(`${name}.word_embeddings.weight`);
  const positions = matrix(`${name}.position_embeddings.weight`);
  const types = matrix(`${name}.token_type_embeddings.weight`);
  const hidden = words.shape[1];
  if (length > positions.shape[0]) {
    throw new RangeError(
      `The position table has ${positions.shape[0]} rows, the sequences ${length} tokens.`,
    );
  }
  const tokens = tf.add(
    tf.gather(words, tf.reshape(ids, [-1])),
    tf.gather(types, tf.reshape(tokenTypes, [-1])),
  );
  const placed = tf.add(tf.reshape(tokens, [batch, length, hidden]), tf.slice(positions, 0, length));
  const sum = activation(tf.reshape(placed, [batch * length, hidden]) as tf.Tensor2D, name);
  return dropout(norm(sum, `${name}.LayerNorm`), name);
}

/** One layer of the encoder: attention, then two matrices with a GELU between them. */
function encode(pass: Pass, x: tf.Tensor2D, bias: tf.Tensor, name: string): tf.Tensor2D {
  const { linear, norm, activation, dropout } = pass;
  const attention = dropout(
    linear(attend(pass, x, bias, `${name}.attention.self`), `${name}.attention.output.dense`),
    `${name}.attention.output.dense`,
  );
  const attended = norm(tf.add(x, attention), `${name}.attention.output.LayerNorm`);
  const inner = activation(gelu(linear(attended, `${name}.intermediate.dense`)), `${name}.intermediate`);
  const outer = dropout(linear(inner, `${name}.output.dense`), `${name}.output.dense`);
  return norm(tf.add(attended, outer), `${name}.output.LayerNorm`);
}

/** @param bias is added to the scores */
function attend(
  { batch, length, heads, linear, activation, dropout }: Pass,
  x: tf.Tensor2D,
  bias: tf.Tensor,
  name: string,
): tf.Tensor2D {
  const [, hidden] = x.shape;
  const size = hidden / heads;
  const project = (role: string) => activation(linear(x, `${name}.${role}`), `${name}.${role}`);
  const split = (y: tf.Tensor2D) => tf.transpose(tf.reshape(y, [batch, length, heads, size]), [0, 2, 1, 3]);
  // Scaling the queries rather than the scores touches length / size times fewer numbers.
  const query = split(tf.mul(project("query"), 1 / Math.sqrt(size)));
  const scores = tf.matMul(query, split(project("key")), false, true);
  const probabilities = activation(tf.softmax(tf.add(scores, bias)), `${name}.probabilities`);
  const context = tf.matMul(dropout(probabilities, `${name}.probabilities`), split(project("value")));
  return activation(
    tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [batch * length, hidden]) as tf.Tensor2D,
    name,
  );
}

/** The logits, from each sequence's first token. */
function classify({ batch, length, linear, activation, dropout }: Pass, x: tf.Tensor2D): tf.Tensor2D {
  const [, hidden] = x.shape;
  const first = tf.slice(tf.reshape(x, [batch, length * hidden]), [0, 0], [batch, hidden]) as tf.Tensor2D;
  const pooled = activation(tf.tanh(linear(first, "bert.pooler.dense")), "bert.pooler");
  return linear(dropout(pooled, "classifier"), "classifier");
}

/** Parameters to train from: matrices and tables normal with deviation 0.02, LayerNorm 1 and 0, biases 0. */
export function initialBert(config: BertConfig, seed: number): Parameters {
  const entries = Object.entries(bertShapes(config));
  return Object.fromEntries(entries.map(([name, shape]) => [name, initialBertTensor(name, shape, seed)]));
}

/** One of these parameters; its values depend on its name, its shape and the seed alone. */
export function initialBertTensor(name: string, shape: number[], seed: number): tf.Tensor {
  if (name.endsWith(".bias")) return tf.zeros(shape);
  if (name.endsWith("LayerNorm.weight")) return tf.ones(shape);
  const gaussian = normal(uniform(namedSeed(name, seed)));
  const size = shape.reduce((product, side) => product * side, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => 0.02 * gaussian()),
    shape,
  );
}

/** The shape of every parameter of a BERT in the layout of tfjs: matrices [in, out], tables [entries, hidden]. */
export function bertShapes(config: BertConfig): Record<string, number[]> {
  const { hiddenSize: hidden, intermediateSize: intermediate } = config;
  const shapes: Record<string, number[]> = {};
  const addLinear = (name: string, inputs: number, outputs: number) => {
    shapes[`${name}.weight`] = [inputs, outputs];
    shapes[`${name}.bias`] = [outputs];
  };
  const addNorm = (name: string) => {
    shapes[`${name}.weight`] = [hidden];
    shapes[`${name}.bias`] = [hidden];
  };
  shapes["bert.embeddings.word_embeddings.weight"] = [config.vocabSize, hidden];
  shapes["bert.embeddings.position_embeddings.weight"] = [config.maxPositionEmbeddings, hidden];
  shapes["bert.embeddings.token_type_embeddings.weight"] = [config.typeVocabSize, hidden];
  addNorm("bert.embeddings.LayerNorm");
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const name = `bert.encoder.layer.${layer}`;
    for (const role of ["query", "key", "value"]) addLinear(`${name}.attention.self.${role}`, hidden, hidden);
    addLinear(`${name}.attention.output.dense`, hidden, hidden);
    addNorm(`${name}.attention.output.LayerNorm`);
    addLinear(`${name}.intermediate.dense`, hidden, intermediate);
    addLinear(`${name}.output.dense`, intermediate, hidden);
    addNorm(`${name}.output.LayerNorm`);
  }
  addLinear("bert.pooler.dense", hidden, hidden);
  addLinear("classifier", hidden, config.numLabels);
  return shapes;
}
