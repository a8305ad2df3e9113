/** Layers of TF.js that are matrices: which, and what their configuration means. */
import type { MatrixPart, Variable } from "./fold.js";
import { convolution, dense, depthwise, type Pad, transposedConvolution } from "./matrix.js";

interface ConfiguredLayer {
  getClassName(): string;
  getConfig(): object;
  weights: Variable[];
}

interface Window {
  strides: [number, number];
  dilations: [number, number];
  pad: Pad;
}

/**
 * The matrices that a layer applies one after the other; undefined if it is no matrix, or one that is not known here.
 *
 * @param rank of its input
 */
export function matricesOf(layer: ConfiguredLayer, rank: number): MatrixPart[] | undefined {
  const kind = layer.getClassName();
  const [kernel, second, third] = layer.weights;
  const shapeOf = (variable: Variable) => variable.read().shape;
  if (kind === "Dense")
    return rank >= 2 ? [{ matrix: dense(shapeOf(kernel)), kernel, bias: second }] : undefined;
  const window = kind.includes("Conv") ? windowOf(layer, kind) : undefined;
  if (!window) return undefined;
  if (kind === "Conv1D" || kind === "Conv2D")
    return [{ matrix: convolution(shapeOf(kernel), window), kernel, bias: second }];
  if (kind === "Conv2DTranspose")
    return [{ matrix: transposedConvolution(shapeOf(kernel), window), kernel, bias: second }];
  // One kernel for each channel: with several, a step in the file would be for all of them.
  if (!kind.includes("Depthwise") && !kind.includes("Separable")) return undefined;
  if (shapeOf(kernel)[3] !== 1) return undefined;
  const spatial = depthwise(shapeOf(kernel), window);
  if (kind === "DepthwiseConv2D") return [{ matrix: spatial, kernel, bias: second }];
  if (kind !== "SeparableConv2D") return undefined;
  const across = convolution(shapeOf(second), { strides: [1, 1], pad: "valid" });
  return [
    { matrix: spatial, kernel },
    { matrix: across, kernel: second, bias: third },
  ];
}

function windowOf(layer: ConfiguredLayer, kind: string): Window | undefined {
  const config = layer.getConfig() as Record<string, unknown>;
  const is1D = kind === "Conv1D";
  const pair = (value: unknown): [number, number] => {
    const [first, second = first] = [value ?? 1].flat() as number[];
    return is1D ? [1, first] : [first, second];
  };
  const [strides, dilations] = [pair(config["strides"]), pair(config["dilationRate"])];
  if ((config["dataFormat"] ?? "channelsLast") !== "channelsLast") return undefined;
  if (kind === "Conv2DTranspose" && dilations.some((rate) => rate > 1)) return undefined;
  // TF.js runs no causal convolutions.
  const { padding } = config;
  return padding === "same" || padding === "valid" ? { strides, dilations, pad: padding } : undefined;
}
