/**
 * Uses of the weights in a layers model of TF.js, from the class of the layer that has them.
 *
 *     const useOf = layersUses(topology);
 *     useOf("conv2d_1/kernel", [3, 3, 3, 16]); // { kind: "weight", channelAxis: 3, reason: "kernel of Conv2D conv2d_1" }
 */
import type { TensorUse } from "../model.js";

/** Layers whose kernels are matrices; a name that ends so is one of them with more to it. */
const MATRICES =
  /(Dense|Conv\d?D|LSTM|GRU|RNN|Cell|Attention|ConvLSTM2D|Conv\d?DTranspose|SeparableConv\dD)$/;
const VECTORS = new Set(["bias", "gamma", "beta", "moving_mean", "moving_variance"]);

export function layersUses(
  topology: Record<string, unknown>,
): (weight: string, shape: readonly number[]) => TensorUse {
  const classes = new Map<string, string>();
  collectLayers(topology["model_config"] ?? topology, classes, 0);
  return (weight, shape) => {
    const path = weight.replace(/:\d+$/, "").split("/");
    // TF.js gives a weight whose name is there already a number.
    const kind = path.at(-1)!.replace(/_\d+$/, "");
    const layer = path.find((part) => classes.has(part)) ?? "";
    const className = classes.get(layer) ?? "";
    const reason = `${kind} of ${className || "no layer that is known:"} ${layer}`.trim();
    const rank = shape.length;
    if (VECTORS.has(kind) || /bias$/.test(kind)) return { kind: "vector", reason };
    if (rank >= 2 && className === "Embedding") return { kind: "embedding", channelAxis: 0, reason };
    // [height, width, in, multiplier]: one kernel an input channel.
    if (rank >= 3 && /^depthwise_(kernel|filter)/.test(kind))
      return { kind: "depthwise", channelAxis: rank - 2, reason, isConvolution: true };
    // A manifest without a network tells layers by names alone.
    const isKernel =
      className === ""
        ? /(kernel|filters?|weights?)$/.test(kind)
        : /kernel$/.test(kind) && MATRICES.test(className);
    if (!isKernel || rank < 2) return { kind: "exact", reason };
    // [height, width, out, in]
    const isTransposed = className.includes("Transpose") && rank >= 3;
    const isConvolution =
      className === "" ? rank === 4 : /Conv/.test(className) && rank >= 3 && !isTransposed;
    return {
      kind: "weight",
      channelAxis: rank - (isTransposed ? 2 : 1),
      reason,
      ...(isConvolution && { isConvolution }),
    };
  };
}

/** As deep as models in models and wrappers of layers go. */
const MAX_DEPTH = 200;

/** Classes of layers by their names, also of those in models in the model and in wrappers. */
function collectLayers(value: unknown, classes: Map<string, string>, depth: number): void {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return;
  if (!Array.isArray(value)) {
    const { class_name: className, config } = value as Record<string, unknown>;
    const { name, layer } = (config ?? {}) as Record<string, unknown>;
    // The weights of a wrapper are those of the layer in it.
    const wrapped = (layer as Record<string, unknown> | undefined | null)?.["class_name"];
    const own = typeof wrapped === "string" ? wrapped : className;
    if (typeof own === "string" && typeof name === "string") classes.set(name, own);
  }
  for (const item of Object.values(value)) collectLayers(item, classes, depth + 1);
}
