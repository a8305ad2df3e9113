// All methods, in the order of the table.
import { jointPruning } from "./ajpq.js";
import { calibratedWeights } from "./calibrated.js";
import { cat } from "./cat.js";
import { crq } from "./crq.js";
import { dctMaps } from "./dct-cm.js";
import { diffq } from "./diffq.js";
import { featureMaps } from "./feature-map-coding.js";
import { float } from "./float.js";
import type { Recipe } from "./recipe.js";
import { transforms } from "./transform-quantization.js";

export const RECIPES: Recipe[] = [
  float,
  cat,
  featureMaps,
  transforms,
  dctMaps,
  diffq,
  crq,
  jointPruning,
  calibratedWeights,
];
