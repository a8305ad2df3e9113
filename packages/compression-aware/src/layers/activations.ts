/**
 * Which activations are quantized: what comes out of a nonlinearity, since that is what is written to memory; never the model's own
 * results, and nothing that is linear and is still to be added to something or normalized.
 *
 *     rangeOfActivation({ className: "Conv2D", config: { activation: "relu" } })   // "unsigned"
 */
import type { LayerConfig } from "./topology.js";

/** Sign of what a layer gives, or undefined where it is not to be quantized. */
export function rangeOfActivation({ className, config }: LayerConfig): "unsigned" | "signed" | undefined {
  if (config["returnState"] === true) return undefined;
  const activation = layerActivations[className] ?? (config["activation"] as string | undefined);
  if (typeof activation !== "string" || activation === "linear") return undefined;
  return NEVER_NEGATIVE.has(activation) ? "unsigned" : "signed";
}

/** Of layers that do not say it of what they give. */
const layerActivations: Record<string, string> = {
  ReLU: "relu",
  ThresholdedReLU: "relu",
  Softmax: "softmax",
  LeakyReLU: "leakyRelu",
  PReLU: "prelu",
  ELU: "elu",
};
const NEVER_NEGATIVE = new Set(["relu", "relu6", "sigmoid", "hardSigmoid", "softplus", "softmax"]);
