/** Differentiable entropy of quantized tensors, for training networks that compress well. */
export { entropy } from "./entropy.js";
export { sampleElements, sampleIndices, withSample } from "./sample.js";
export { softEntropy } from "./soft-entropy.js";
export { type SoftHistogramOptions, softHistogram } from "./soft-histogram.js";
export { l1OverL2, sparsityProxy } from "./sparsity.js";
