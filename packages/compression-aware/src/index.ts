/**
 * Compression-aware training for TensorFlow.js: what weights and activations would cost in bits, as part of the loss of
 * any network that is a function with hooks.
 *
 *     compressionAwareTraining({ parameters, scales, quantizersOf, loss, activationRate: { lambda: 0.1 } }).loss(step, progress)
 */
export { contextRate } from "./context-rate.js";
export type { Hooks, Parameters } from "./hooks.js";
export { registerActivationQuantizer } from "./layers/activation-quantizer.js";
export type { ActivationBits } from "./layers/activation-report.js";
export {
  type AwareModel,
  type AwareReport,
  type CompressionAwareLayers,
  compressionAware,
} from "./layers/compression-aware.js";
export type { TensorBits } from "./layers/report.js";
export {
  type BitWidths,
  type FrozenScale,
  initialScales,
  type Quantizers,
  quantizingHooks,
  type Scales,
  scaleOf,
  uniformQuantizers,
} from "./quantizers.js";
export { orderZeroRate, type Rate, type RateContext, type RateWeight, rateMeter } from "./rate.js";
export {
  type CompressionAwareOptions,
  type CompressionAwareTraining,
  compressionAwareTraining,
  type Log,
  type Loss,
  type Trained,
} from "./training.js";
