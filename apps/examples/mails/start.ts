// Where a job starts: the tokenizer, the sizes and the parameters, from a checkpoint or from scratch.

import type { Parameters } from "@bitdiet/compression-aware";
import { type BertTokenizer, loadTokenizer, tokenizerFromVocabulary } from "@bitdiet/zoo/data/tokenizer";
import { learnVocabulary } from "@bitdiet/zoo/data/vocabulary";
import { type BertConfig, initialBert } from "@bitdiet/zoo/nets/bert";
import { readBertCheckpoint } from "@bitdiet/zoo/nets/bert-checkpoint";
import type { Options } from "./options.js";
import type { Task } from "./texts.js";

export interface Start {
  tokenizer: BertTokenizer;
  config: BertConfig;
  /** Owned by the caller. */
  parameters: Parameters;
  /** The checkpoint's whole config.json, so that writing keeps what is not understood here. */
  json: Record<string, unknown>;
  /** The learned vocab.txt; undefined where the checkpoint's tokenizer is used. */
  vocabulary?: string;
}

/** Two layers of hidden size 128: the smallest BERT that Google published a checkpoint of has these sizes, too. */
const SMALL = {
  hiddenSize: 128,
  numHiddenLayers: 2,
  numAttentionHeads: 2,
  intermediateSize: 512,
  typeVocabSize: 2,
  layerNormEps: 1e-12,
};

/**
 * @throws {RangeError} if the checkpoint has fewer positions than `maxLength`; {CheckpointError} if it is no BERT
 */
export async function startOf(
  task: Task,
  { checkpoint, maxLength, vocabulary: size, seed }: Options,
): Promise<Start> {
  const numLabels = task.classes.length;
  if (checkpoint === undefined) {
    const texts = task.training.flatMap(({ first, second }) =>
      second === undefined ? [first] : [first, second],
    );
    const vocabulary = learnVocabulary(texts, size);
    const tokenizer = tokenizerFromVocabulary(vocabulary);
    const config = {
      ...SMALL,
      vocabSize: tokenizer.vocabSize,
      maxPositionEmbeddings: maxLength,
      numLabels,
    };
    return { tokenizer, config, parameters: initialBert(config, seed), json: labelNames(task), vocabulary };
  }
  const tokenizer = await loadTokenizer(checkpoint);
  const { config, parameters, json } = await readBertCheckpoint(checkpoint, { numLabels, seed });
  if (maxLength > config.maxPositionEmbeddings) {
    throw new RangeError(
      `max-length: the checkpoint has ${config.maxPositionEmbeddings} positions, got ${maxLength}`,
    );
  }
  if (tokenizer.vocabSize > config.vocabSize) {
    throw new RangeError(
      `checkpoint: its tokenizer has ${tokenizer.vocabSize} entries, its embeddings ${config.vocabSize}`,
    );
  }
  return { tokenizer, config, parameters, json: { ...json, ...labelNames(task) } };
}

function labelNames({ classes }: Task): Record<string, unknown> {
  return { id2label: Object.fromEntries(classes.map((name, id) => [String(id), name])) };
}
