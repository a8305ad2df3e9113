/**
 * Linear transforms as data: a matrix, a mean, and two functions; DCT, PCA/KLT and ELT to fill the matrix, and a fast DCT
 * beside it. `forward(identityTransform(2), Float32Array.of(3, 4))` is [3, 4].
 */
export { type BlockOptions, fromBlocks, type MapShape, toBlocks } from "./blocks.js";
export { codingGain } from "./coding-gain.js";
export { dct, dctTransform, idct } from "./dct.js";
export { dct8x8, idct8x8 } from "./dct8x8.js";
export { type SymmetricEigen, symmetricEigen } from "./eigen.js";
export { type EltTransform, eltTransform } from "./elt.js";
export { type BatchNorm, type Convolution, foldBatchNorm, foldIntoConvolution } from "./fold.js";
export { componentsForEnergy, type PcaTransform, pcaTransform, sampleMean, secondMoment } from "./pca.js";
export { forward, identityTransform, inverse, keep, type Transform } from "./transform.js";
