// The mails' networks: how a BERT is fine-tuned, shipped, and judged by what arrives. Nothing in `deploy` trains: weights go
// through a .bitdiet file, and every activation of the development texts through bytes.
import { type Parameters, quantizingHooks } from "@bitdiet/compression-aware";
import { type EncodedData, inputOf } from "@bitdiet/zoo/data/text-batches";
import { type BertConfig, bert } from "@bitdiet/zoo/nets/bert";
import { bertQuantizers } from "@bitdiet/zoo/nets/bert-quantizers";
import type { Work } from "@bitdiet/zoo/runner/job";
import { byteBrotliBytes } from "@bitdiet/zoo/shipping/baselines";
import { type CodedMaps, codeMaps, learnMapCoders } from "@bitdiet/zoo/shipping/feature-maps";
import { sideInformation, type WeightCosts, weightCosts } from "@bitdiet/zoo/shipping/measured";
import { arrived, ship } from "@bitdiet/zoo/shipping/ship";
import { type FineTuning, fineTuneBert, type QuantizedBert } from "@bitdiet/zoo/training/bert";
import * as tf from "@tensorflow/tfjs-core";
import { predict } from "./float.js";
import { tokenRows } from "./token-rows.js";

/** A trained network as it is shipped: what it costs, and what it answers. */
export interface Deployment {
  /** By development set: the classes in training's own terms, with fake quantization, and on what was decoded. */
  predictions: Record<string, { graph: Int32Array; decoded: Int32Array }>;
  activations: CodedMaps[];
  /** The .bitdiet file: everything that a decoder needs beside the architecture. */
  file: Uint8Array;
  weights: WeightCosts;
  /** The integers as one byte each through brotli, everything else beside them. */
  byteBrotliBytes: number;
}

/** What the work of a thread needs to know. */
export interface TaskData {
  config: BertConfig;
  training: EncodedData;
  development: Record<string, EncodedData>;
}

/** Training texts that the activations' codes are learned from. */
const CODE_TEXTS = 128;

/** Ships the weights, codes the activations of all development texts, and evaluates on what comes back. */
export async function deploy(
  network: QuantizedBert,
  { config, training, development }: TaskData,
): Promise<Deployment> {
  const { parameters, scales } = network;
  const quantizers = bertQuantizers(scales, network);
  const graph = mapValues(development, (data) =>
    predict(data, (input) => bert(parameters, config, input, quantizingHooks(quantizers))),
  );
  const shipped = ship({
    parameters,
    quantizer: (name) => (name in scales.weight ? quantizers.weight(name) : undefined),
    activationScales: scales.activation,
  });
  const decoded = await arrived(shipped.file, scales.activation);
  const { activation } = bertQuantizers({ weight: {}, activation: decoded.activationScales }, network);
  const texts = codeTexts(training);
  const coders = learnMapCoders(
    (hooks) => bert(decoded.parameters, config, texts, hooks),
    activation,
    tokenRows(texts.mask.dataSync<"float32">()),
  );
  const answers = mapValues(development, (data) =>
    predict(data, (input) => {
      const rows = tokenRows(input.mask.dataSync<"float32">());
      return bert(decoded.parameters, config, input, { activation: codeMaps(coders, activation, rows) });
    }),
  );
  tf.dispose([Object.values(texts), decoded.parameters]);
  return {
    predictions: mapValues(development, (_, name) => ({ graph: graph[name], decoded: answers[name] })),
    activations: Object.values(coders).map(({ total }) => total()),
    file: shipped.file,
    weights: weightCosts(shipped),
    byteBrotliBytes: byteBrotliBytes(shipped.weights.values(), sideInformation(shipped)),
  };
}

/** The first training texts; the caller disposes of the tensors. */
function codeTexts({ texts }: EncodedData) {
  const count = Math.min(CODE_TEXTS, texts.mask.length / texts.length);
  return inputOf(texts, [...Array(count).keys()]);
}

const mapValues = <A, B>(record: Record<string, A>, of: (value: A, name: string) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value, name)]));

/** Parameters as a program that knows no quantization can load them: what the file decodes to. New tensors, the caller's. */
export const dequantizedParameters = async ({ file }: Deployment): Promise<Parameters> =>
  (await arrived(file)).parameters;

/** A thread's work. */
export const work: Work<TaskData, FineTuning, Deployment, QuantizedBert> = (data) => ({
  fineTune: (start, tuning, title) => fineTuneBert(start, data.config, data.training, title, tuning),
  deploy: (network) => deploy(network, data),
});
