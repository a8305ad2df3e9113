// What the detection job found, as report.json, report.html, a table, and each network's .bitdiet file.
import { join } from "node:path";
import type { VocImage } from "@bitdiet/zoo/data/voc";
import type { FoundBox, MeanAveragePrecision } from "@bitdiet/zoo/detection/average-precision";
import { boxedPicture } from "@bitdiet/zoo/report/boxed-picture";
import { commit } from "@bitdiet/zoo/report/commit";
import { NETWORK_NAMES, NETWORK_TITLES, type NetworkName } from "@bitdiet/zoo/report/network-titles";
import { bytes, percent } from "@bitdiet/zoo/report/numbers";
import { page, type Section, table } from "@bitdiet/zoo/report/page";
import { layerBitsPlot } from "@bitdiet/zoo/report/plots";
import { writeWhole } from "@bitdiet/zoo/report/write";
import { kebab } from "@bitdiet/zoo/runner/command-line";
import { mapBits, packedBytes } from "@bitdiet/zoo/shipping/measured";
import type { Options } from "./options.js";
import type { Deployment } from "./task.js";

export type Report = ReturnType<typeof reportOf>;

/** Everything as plain data; `seconds` and `commit` aside it depends on the options alone. */
export function reportOf(
  options: Options,
  counts: { training: number; judged: number; names: readonly string[] },
  float: { precision: MeanAveragePrecision; bytes: number },
  deployments: Record<NetworkName, Deployment>,
  seconds: number,
) {
  const network = ({ maps, weights, graph, decoded }: Deployment) => ({
    graph,
    decoded,
    entropyBitsPerValue: mapBits(maps).entropy,
    codedBitsPerValue: mapBits(maps).coded,
    codedBytesPerPicture: maps.reduce((total, { codedBytes }) => total + codedBytes, 0) / counts.judged,
    bitsPerWeight: weights.coded,
    weightBytes: weights.bytes,
    packedBrotliWeightBytes: packedBytes(weights),
    maps: maps.map(({ name, values, codedBytes }) => ({ name, bits: (8 * codedBytes) / values })),
    weights: weights.layers.map((layer) => ({ name: layer.name, bits: (8 * layer.bytes) / layer.values })),
  });
  const { quantized, compressionAware: aware } = deployments;
  const ratio = mapBits(aware.maps).coded / mapBits(quantized.maps).coded;
  const weightRatio = aware.weights.bytes / quantized.weights.bytes;
  return {
    summary:
      `Compression-aware training: ${(100 * ratio).toFixed(0)} % of the feature-map bits and ${(100 * weightRatio).toFixed(0)} % ` +
      `of the file's bytes of plain quantization at the same bit widths, at a mean average precision of ${percent(aware.decoded.mean)} ` +
      `(quantized ${percent(quantized.decoded.mean)}, float ${percent(float.precision.mean)}), all decoded from bytes.`,
    dataset: counts,
    float: { precision: float.precision, bytes: float.bytes },
    quantized: network(quantized),
    quantizedWideRange: network(deployments.quantizedWideRange),
    compressionAware: network(aware),
    options: {
      ...options,
      out: undefined,
      json: undefined,
      data: undefined,
      features: undefined,
      resume: undefined,
    },
    seconds: Math.round(seconds),
    commit: commit(),
  };
}

/** Head and rows of the one table. */
export function headlines({ float, dataset, ...report }: Report): [string[], string[][]] {
  const { names } = dataset;
  const classes = ({ classes }: MeanAveragePrecision) =>
    names.map((name) => percent(classes[name] ?? Number.NaN));
  const row = (name: NetworkName) => {
    const one = report[name];
    return [
      NETWORK_TITLES[name],
      percent(one.graph.mean),
      percent(one.decoded.mean),
      ...classes(one.decoded),
      one.entropyBitsPerValue.toFixed(3),
      one.codedBitsPerValue.toFixed(3),
      one.bitsPerWeight.toFixed(3),
      bytes(one.packedBrotliWeightBytes),
      bytes(one.weightBytes),
    ];
  };
  const head = [
    "network",
    "mAP",
    "mAP, decoded",
    ...names,
    "entropy/value",
    "coded bits/value",
    "bits/weight",
    "packed + brotli, bytes",
    "file, bytes",
  ];
  const first = [
    "float32",
    percent(float.precision.mean),
    "",
    ...classes(float.precision),
    "",
    "32",
    "32",
    "",
    bytes(float.bytes),
  ];
  return [head, [first, ...NETWORK_NAMES.map(row)]];
}

interface Results {
  judged: readonly VocImage[];
  names: readonly string[];
  /** Boxes that the float network found. */
  float: readonly FoundBox[];
  deployments: Record<NetworkName, Deployment>;
}

/** Writes the networks, report.html and report.json into the folder, each whole or not at all. */
export async function writeReport(folder: string, report: Report, results: Results): Promise<void> {
  const sections = await sectionsOf(report, results);
  writeWhole(
    join(folder, "report.html"),
    page("A detector, trained to be compressible", report.summary, sections),
  );
  for (const name of NETWORK_NAMES) {
    writeWhole(join(folder, `${kebab(name)}.bitdiet`), results.deployments[name].file);
  }
  writeWhole(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
}

/** Pictures shown, and the least score of a box on them. */
const SHOWN = 6;
const LEAST_SCORE = 0.4;

async function sectionsOf(report: Report, results: Results): Promise<Section[]> {
  const bars = (kind: "maps" | "weights", title: string) =>
    layerBitsPlot(
      NETWORK_NAMES.flatMap((name) =>
        report[name][kind].map((layer) => ({
          layer: layer.name.replace(/(_relu|\.weight)$/, ""),
          network: NETWORK_TITLES[name],
          bits: layer.bits,
        })),
      ),
      title,
    );
  return [
    {
      title: "Result",
      text:
        `Mean average precision on ${report.dataset.judged} pictures by Pascal VOC's rule of 2010 and later, and each class's: of the network in ` +
        "training, and of the network whose weights and feature maps were decoded from bytes. The codes of feature maps have contexts from " +
        "neighbours and were learned on training pictures; their tables are counted. Bytes are those of the whole .bitdiet file; packed + " +
        "brotli is what the same integers take bit-packed.",
      body: table(...headlines(report)),
    },
    {
      title: "What it finds",
      text: `The first ${SHOWN} of these pictures: as marked, and boxes of a score of ${LEAST_SCORE} or more.`,
      body: pictures(results),
    },
    {
      title: "Bits per value, layer by layer",
      text: "Feature maps as coded, tables included.",
      body: `<div class="scroll">${await bars("maps", "coded bits per value")}</div>`,
    },
    {
      title: "Bits per weight, layer by layer",
      text: "Each tensor's part of the file: steps and integers.",
      body: `<div class="scroll">${await bars("weights", "coded bits per weight")}</div>`,
    },
    {
      title: "How this was made",
      text: `Seed ${report.options.seed}, ${report.dataset.training} pictures for training, ${report.seconds} s, commit ${report.commit ?? "unknown"}. Options:`,
      body: `<pre>${JSON.stringify(report.options, null, 2)}</pre>`,
    },
  ];
}

function pictures({ judged, names, float, deployments }: Results): string {
  return judged
    .slice(0, SHOWN)
    .map(({ id, width, height, objects, read }) => {
      const of = (found: readonly FoundBox[]) =>
        found.filter(({ image, score }) => image === id && score >= LEAST_SCORE);
      const opinions = [
        { title: "marked", boxes: objects },
        { title: "float32", boxes: of(float) },
        ...(["quantized", "compressionAware"] as const).map((name) => ({
          title: `${NETWORK_TITLES[name]}, decoded`,
          boxes: of(deployments[name].found),
        })),
      ];
      return boxedPicture({ id, jpeg: read(), width, height, names, opinions });
    })
    .join("\n");
}
