// What a BERT job found, as report.json, report.html and a table.
import { cpus } from "node:os";
import { join } from "node:path";
import type { BitWidths } from "@bitdiet/compression-aware";
import type { BertConfig } from "@bitdiet/zoo/nets/bert";
import { commit } from "@bitdiet/zoo/report/commit";
import { bytes, percent } from "@bitdiet/zoo/report/numbers";
import { page, type Section, table } from "@bitdiet/zoo/report/page";
import { layerBitsPlot, levelHistogramPlot } from "@bitdiet/zoo/report/plots";
import { writeWhole } from "@bitdiet/zoo/report/write";
import { mapBits } from "@bitdiet/zoo/shipping/measured";
import type { Options } from "./options.js";
import type { Deployment } from "./task.js";
import type { Task } from "./texts.js";

/** The quantized networks of a report, and what people read instead of their keys. */
export const NETWORK_TITLES = {
  quantized8: "quantized, 8 bits",
  quantized: "quantized",
  quantizedWideRange: "quantized, wide range",
  compressionAware: "compression-aware",
};
export type NetworkName = keyof typeof NETWORK_TITLES;
export const NETWORK_NAMES = Object.keys(NETWORK_TITLES) as NetworkName[];

/** Scores by development set, then by metric. */
export type Scores = Record<string, Record<string, number>>;
export type Report = ReturnType<typeof reportOf>;

/** The scores of predictions on every development set. */
export function scoresOf(task: Task, predictions: Record<string, ArrayLike<number>>): Scores {
  return Object.fromEntries(
    Object.entries(task.development).map(([set, examples]) => {
      const labels = examples.map(({ label }) => label);
      const metrics = Object.entries(task.metrics);
      return [
        set,
        Object.fromEntries(metrics.map(([name, metric]) => [name, metric(predictions[set], labels)])),
      ];
    }),
  );
}

/** What was run, for a report that says how to run it again. */
export interface Run {
  options: Options;
  task: Task;
  config: BertConfig;
  seconds: number;
}

type NetworkReport = ReturnType<typeof networkReport>;

function networkReport(task: Task, { widths, deployment }: { widths: BitWidths; deployment: Deployment }) {
  const { activations, weights, predictions } = deployment;
  const part = (of: "graph" | "decoded") =>
    scoresOf(
      task,
      Object.fromEntries(Object.entries(predictions).map(([set, answers]) => [set, answers[of]])),
    );
  const values = sum(activations, (one) => one.values);
  const weightValues = sum(weights.layers, (layer) => layer.values);
  return {
    bits: widths.activationBits,
    weightBits: widths.weightBits,
    scores: part("graph"),
    decodedScores: part("decoded"),
    values,
    entropyBitsPerValue: mapBits(activations).entropy,
    codedBitsPerValue: mapBits(activations).coded,
    codedBytes: sum(activations, (one) => one.codedBytes),
    weightBytes: weights.bytes,
    packedBrotliWeightBytes: Math.round((weights.packedBrotli * weightValues) / 8),
    byteBrotliWeightBytes: deployment.byteBrotliBytes,
    activations: activations.map(({ counts: _, ...one }) => one),
    weights: weights.layers,
  };
}

/** Everything as plain data; times, commit and machine aside it depends on the options alone. */
export function reportOf(
  { options, task, config, seconds }: Run,
  float: { scores: Scores; bytes: number },
  deployments: Record<NetworkName, { widths: BitWidths; deployment: Deployment }>,
) {
  const networks = Object.fromEntries(
    NETWORK_NAMES.map((name) => [name, networkReport(task, deployments[name])]),
  ) as Record<NetworkName, NetworkReport>;
  const { quantized, compressionAware: aware } = networks;
  const activationRatio = aware.codedBitsPerValue / quantized.codedBitsPerValue;
  const weightRatio = aware.weightBytes / quantized.weightBytes;
  const main = (scores: Scores) => Object.values(Object.values(scores)[0])[0];
  return {
    summary:
      `Compression-aware training: ${percent(activationRatio)} of the activation bits and ${percent(weightRatio)} of the weight ` +
      `bytes of plain quantization at the same bit widths, at ${percent(main(aware.decodedScores))} ` +
      `(float ${percent(main(float.scores))}), all decoded from bytes.`,
    task: {
      name: task.name,
      classes: task.classes,
      training: task.training.length,
      development: Object.fromEntries(
        Object.entries(task.development).map(([set, { length }]) => [set, length]),
      ),
      notes: task.notes,
    },
    config,
    float,
    networks,
    /** What weight bytes are; reports without it are of streams, as they were before files. */
    unit: "bytes of a .bitdiet file" as const,
    ratios: { activationBits: activationRatio, weightBytes: weightRatio },
    options: { ...options, data: undefined, checkpoint: undefined, out: undefined, json: undefined },
    command: `npm run start:mails -- ${process.argv.slice(2).join(" ")}`.trim(),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, Node ${process.versions.node}`,
    seed: options.seed,
    seconds: Math.round(10 * seconds) / 10,
    // Of all threads: what the run would take at least, however busy the machine is.
    cpuSeconds: Math.round((process.cpuUsage().user + process.cpuUsage().system) / 1e6),
    commit: commit(),
  };
}

/** Head and rows of the one table. */
export function headlines(report: Pick<Report, "float" | "networks">): [string[], string[][]] {
  const { float, networks } = report;
  const columns = Object.entries(float.scores).flatMap(([set, metrics]) =>
    Object.keys(metrics).map((metric) => ({
      title: Object.keys(float.scores).length > 1 ? `${set} ${metric}` : metric,
      of: (scores: Scores) => percent(scores[set][metric]),
    })),
  );
  return [
    [
      "network",
      "bits",
      ...columns.map(({ title }) => title),
      ...columns.map(({ title }) => `${title}, decoded`),
      "entropy/value",
      "coded bits/value",
      "activations, bytes",
      "weights byte+brotli",
      "packed+brotli",
      "weights, bytes",
    ],
    [
      [
        "float32",
        "32/32",
        ...columns.map(({ of }) => of(float.scores)),
        ...columns.map(() => ""),
        "",
        "32",
        bytes(4 * networks.quantized.values),
        "",
        "",
        bytes(float.bytes),
      ],
      ...NETWORK_NAMES.map((name) => {
        const one = networks[name];
        return [
          NETWORK_TITLES[name],
          `${one.bits}/${one.weightBits}`,
          ...columns.map(({ of }) => of(one.scores)),
          ...columns.map(({ of }) => of(one.decodedScores)),
          one.entropyBitsPerValue.toFixed(3),
          one.codedBitsPerValue.toFixed(3),
          bytes(one.codedBytes),
          bytes(one.byteBrotliWeightBytes),
          bytes(one.packedBrotliWeightBytes),
          bytes(one.weightBytes),
        ];
      }),
    ],
  ];
}

/** Writes report.json and report.html into the folder, each whole or not at all. */
export async function writeReport(
  folder: string,
  report: Report,
  deployments: Record<NetworkName, { deployment: Deployment }>,
): Promise<void> {
  const title = `BERT for ${report.task.name}, trained to be compressible`;
  const sections = await sectionsOf(report, deployments);
  writeWhole(join(folder, "report.html"), page(title, report.summary, sections));
  writeWhole(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
}

async function sectionsOf(
  report: Report,
  deployments: Record<NetworkName, { deployment: Deployment }>,
): Promise<Section[]> {
  const perNetwork = <T>(rows: (deployment: Deployment) => T[]) =>
    NETWORK_NAMES.flatMap((name) =>
      rows(deployments[name].deployment).map((row) => ({ ...row, network: NETWORK_TITLES[name] })),
    );
  return [
    {
      title: "Result",
      text:
        "Scores on the development texts: of the network in training, and of the network whose weights and activations were decoded " +
        "from bytes. Entropy is that of single levels; coded bits include the codes' tables, which were learned on training texts. " +
        "Weight bytes are those of the whole .bitdiet file, biases and LayerNorm as bfloat16. Padding is not counted.",
      body: table(...headlines(report)),
    },
    {
      title: "Bits per value, activation by activation",
      text: "As coded, tables included. L0, L1, … are the layers.",
      body: await layerBitsPlot(
        perNetwork(({ activations }) =>
          activations.map(({ name, codedBytes, values }) => bitsOf(name, codedBytes, values)),
        ),
        "coded bits per value",
      ),
    },
    {
      title: "Bits per weight, tensor by tensor",
      text: "Each tensor's part of the file: steps and integers.",
      body: await layerBitsPlot(
        perNetwork(({ weights }) =>
          weights.layers.map(({ name, bytes, values }) => bitsOf(name, bytes, values)),
        ),
        "coded bits per weight",
      ),
    },
    {
      title: "Where the values lie",
      text: "Share of each activation's values on each level, over all development texts; the 8-bit network has too many to show. Low entropy is a histogram with few tall bars.",
      body: await levelHistogramPlot(
        perNetwork(({ activations }) =>
          activations
            .filter(({ counts }) => counts.length <= 16)
            .flatMap(({ name, counts, values }) =>
              counts.map((count, level) => ({ layer: shortName(name), level, share: count / values })),
            ),
        ),
      ),
    },
    {
      title: "How this was made",
      text: `Seed ${report.seed}, ${report.seconds} s, ${report.machine}, commit ${report.commit ?? "unknown"}. Options:`,
      body: `<pre>${JSON.stringify(report.options, null, 2)}</pre>`,
    },
  ];
}

function bitsOf(name: string, bytes: number, values: number) {
  return { layer: shortName(name), bits: (8 * bytes) / values };
}

/** What fits under a bar: "bert.encoder.layer.0.attention.self.query" is "L0 query". */
function shortName(name: string): string {
  return name
    .replace(/^bert\./, "")
    .replace(/encoder\.layer\.(\d+)\./, "L$1 ")
    .replace("attention.output.LayerNorm", "attention norm")
    .replace("attention.output.dense", "attention out")
    .replace("attention.self.", "")
    .replace("attention.self", "context")
    .replace("output.LayerNorm", "norm")
    .replace("output.dense", "out")
    .replace("embeddings.LayerNorm", "embeddings norm")
    .replace("embeddings.", "")
    .replace("_embeddings", "")
    .replace(/(\.dense)?\.weight$/, "");
}

function sum<T>(items: T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
