// BERT checkpoints as Hugging Face's transformers keeps them: a folder with config.json and model.safetensors, or
// several shards and model.safetensors.index.json. Example: `readBertCheckpoint("bert-base-uncased", { numLabels: 2 })`
// reads 199 tensors and starts a classifier of its own, because the pretrained model has none.
import { existsSync } from "node:fs";
import { copyFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Parameters } from "@bitdiet/compression-aware";
import { writeWhole } from "bitdiet/node";
import { type BertConfig, bertShapes, initialBertTensor } from "./bert.js";
import { type CheckpointTensor, readCheckpoint, writeCheckpoint } from "./checkpoint-file.js";
import { parametersFromPyTorch, pyTorchFromParameters } from "./parameters.js";

/** A checkpoint that is not a BERT, or lacks tensors, or has them in other shapes; the message names them. */
export class CheckpointError extends Error {
  override name = "CheckpointError";
}

/** A checkpoint in memory. */
export interface BertCheckpoint {
  config: BertConfig;
  /** In the layout of tfjs; owned by the caller. */
  parameters: Parameters;
  /** The whole of config.json, so that writing keeps what is not understood here. */
  json: Record<string, unknown>;
  /** Parameters the checkpoint lacks (pooler or classifier) that were started at random. */
  initialized: string[];
  /** Tensors of the checkpoint that BERT for classification does not use, such as the pretraining heads. */
  unused: string[];
}

const TOKENIZER_FILES = ["vocab.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

/**
 * Reads a BERT of any size, with or without a classifier, from a folder. F32, F16 and BF16 all become float32.
 *
 * @param numLabels classes of the task; by default those of config.json
 * @param seed for the parts that the checkpoint lacks
 * @throws {CheckpointError} if config.json is not that of a BERT, or tensors are missing or of wrong shape.
 * @throws {ModelFileError} if a weight file is missing or corrupt.
 */
export async function readBertCheckpoint(
  folder: string,
  { numLabels, seed = 1 }: { numLabels?: number; seed?: number } = {},
): Promise<BertCheckpoint> {
  const json = await readJson(join(folder, "config.json"));
  const config = bertConfig(json, numLabels);
  const stored = await readWeights(folder);
  const shapes = bertShapes(config);

  const found: Record<string, CheckpointTensor> = {};
  const unused: string[] = [];
  for (const [name, entry] of Object.entries(stored)) {
    const current = currentName(name, shapes);
    if (current === undefined) unused.push(name);
    else found[current] = entry;
  }
  const missing = Object.keys(shapes).filter((name) => !(name in found));
  const initialized = missing.filter((name) => /^(classifier|bert\.pooler)\./.test(name));
  const problems = missing
    .filter((name) => !initialized.includes(name))
    .map((name) => `"${name}" is missing (expected ${pyTorchShape(name, shapes)})`);
  for (const [name, { dtype, shape, values }] of Object.entries(found)) {
    const expected = pyTorchShape(name, shapes);
    if (values === undefined) problems.push(`"${name}" is ${dtype}, expected floats`);
    else if (`[${shape}]` !== expected) problems.push(`"${name}" is [${shape}], expected ${expected}`);
  }
  if (problems.length > 0) {
    throw new CheckpointError(`${folder} does not fit its config.json: ${problems.join("; ")}.`);
  }
  const parameters = parametersFromPyTorch(found);
  for (const name of initialized) parameters[name] = initialBertTensor(name, shapes[name]!, seed);
  return { config, parameters, json, initialized, unused };
}

/**
 * Writes a folder that transformers' `BertForSequenceClassification.from_pretrained` loads: config.json and
 * model.safetensors, each replaced by rename, and the tokenizer's files copied from `tokenizerFrom`.
 */
export async function writeBertCheckpoint(
  folder: string,
  {
    config,
    parameters,
    json = {},
  }: Pick<BertCheckpoint, "config" | "parameters"> & { json?: Record<string, unknown> },
  tokenizerFrom?: string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  if (tokenizerFrom !== undefined) {
    for (const file of TOKENIZER_FILES) await copyIfPresent(join(tokenizerFrom, file), join(folder, file));
  }
  await writeCheckpoint(join(folder, "model.safetensors"), pyTorchFromParameters(parameters), {
    format: "pt",
  });
  const path = join(folder, "config.json");
  const text = `${JSON.stringify(configJson(config, json), undefined, 2)}\n`;
  await writeWhole([{ path, bytes: new TextEncoder().encode(text) }], { force: true });
}

async function readWeights(folder: string): Promise<Record<string, CheckpointTensor>> {
  const index = join(folder, "model.safetensors.index.json");
  const { tensors } = await readCheckpoint(existsSync(index) ? index : join(folder, "model.safetensors"));
  return tensors;
}

function bertConfig(json: Record<string, unknown>, numLabels: number | undefined): BertConfig {
  const problems: string[] = [];
  const size = (name: string, preset?: number) => {
    const value = json[name] ?? preset;
    if (Number.isSafeInteger(value) && (value as number) > 0) return value as number;
    problems.push(`${name} is ${JSON.stringify(value)}, expected a positive integer`);
    return 1;
  };
  const only = (name: string, preset: string) => {
    const value = json[name] ?? preset;
    if (value !== preset) problems.push(`${name} is ${JSON.stringify(value)}, expected "${preset}"`);
  };
  only("model_type", "bert");
  only("hidden_act", "gelu");
  only("position_embedding_type", "absolute");
  const epsilon = json["layer_norm_eps"] ?? 1e-12;
  if (!(typeof epsilon === "number" && epsilon > 0))
    problems.push(`layer_norm_eps is ${JSON.stringify(epsilon)}`);
  const named = json["id2label"];
  const labels = typeof named === "object" && named !== null ? Object.keys(named).length : undefined;
  const config: BertConfig = {
    vocabSize: size("vocab_size"),
    hiddenSize: size("hidden_size"),
    numHiddenLayers: size("num_hidden_layers"),
    numAttentionHeads: size("num_attention_heads"),
    intermediateSize: size("intermediate_size"),
    maxPositionEmbeddings: size("max_position_embeddings"),
    typeVocabSize: size("type_vocab_size", 2),
    layerNormEps: epsilon as number,
    numLabels: numLabels ?? labels ?? size("num_labels", 2),
  };
  if (config.hiddenSize % config.numAttentionHeads !== 0) {
    problems.push(
      `hidden_size ${config.hiddenSize} is no multiple of num_attention_heads ${config.numAttentionHeads}`,
    );
  }
  if (problems.length > 0) throw new CheckpointError(`config.json: ${problems.join("; ")}.`);
  return config;
}

function configJson(config: BertConfig, json: Record<string, unknown>): Record<string, unknown> {
  const named = json["id2label"];
  const keeps = typeof named === "object" && named !== null && Object.keys(named).length === config.numLabels;
  const labels = Array.from({ length: config.numLabels }, (_, i) => [String(i), `LABEL_${i}`] as const);
  const id2label: Record<string, unknown> = keeps ? { ...named } : Object.fromEntries(labels);
  // transformers takes the number of labels from id2label; a stale num_labels would contradict it.
  const { num_labels: _, ...kept } = json;
  return {
    ...kept,
    architectures: ["BertForSequenceClassification"],
    model_type: "bert",
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    num_hidden_layers: config.numHiddenLayers,
    num_attention_heads: config.numAttentionHeads,
    intermediate_size: config.intermediateSize,
    max_position_embeddings: config.maxPositionEmbeddings,
    type_vocab_size: config.typeVocabSize,
    layer_norm_eps: config.layerNormEps,
    hidden_act: "gelu",
    torch_dtype: "float32",
    id2label,
    label2id: Object.fromEntries(Object.entries(id2label).map(([id, label]) => [String(label), Number(id)])),
  };
}

// Google's first checkpoints call LayerNorm's parameters gamma and beta; a bare BertModel has no "bert." in front.
function currentName(name: string, shapes: Record<string, number[]>): string | undefined {
  const renamed = name
    .replace(/LayerNorm\.gamma$/, "LayerNorm.weight")
    .replace(/LayerNorm\.beta$/, "LayerNorm.bias");
  return [renamed, `bert.${renamed}`].find((candidate) => candidate in shapes);
}

function pyTorchShape(name: string, shapes: Record<string, number[]>): string {
  const shape = shapes[name]!;
  return `[${shape.length === 2 && !name.includes("embeddings.") ? [...shape].reverse() : shape}]`;
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(path, "utf8");
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>;
  } catch (error) {
    throw new CheckpointError(`${path} is not JSON: ${(error as Error).message}`);
  }
  throw new CheckpointError(`${path} is not a JSON object.`);
}

async function copyIfPresent(from: string, to: string): Promise<void> {
  await copyFile(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
}
