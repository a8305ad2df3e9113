/**
 * What the module exports; src/heap.ts has the same list in TypeScript. Nothing here may own memory: every address is
 * an argument, in the heap of tfjs-backend-wasm.
 */
export { matMul, matMulScratch } from "./gemm";
export { winogradConvolution, winogradFilterGradient, winogradScratch } from "./winograd";
export { convolution, convolutionFilterGradient, convolutionInputGradient, convolutionScratch } from "./convolution";
export { depthwiseFilterGradient, depthwiseInputGradient } from "./depthwise";
export { batchNormApply, batchNormGradient, batchNormScratch, columnMoments, layerNorm, layerNormGradient } from "./normalization";
export { maxPoolGradient } from "./pool";
export { segmentSum } from "./segment-sum";
export { sumAxis, sumScratch } from "./reduction";
export { erf, exp, gelu, geluGradient, reluGradient } from "./activation";
export { copyRuns, gatherRows, repeatBlocks } from "./copy";
