/** Makes @tensorflow/tfjs-backend-wasm 4.22 train: the gradient kernels it lacks, and a fused batch normalisation. */
export { batchNorm } from "./batch-norm.js";
export { gelu } from "./gelu.js";
export { layerNorm } from "./layer-norm.js";
export { registerTrainingKernels } from "./register.js";
