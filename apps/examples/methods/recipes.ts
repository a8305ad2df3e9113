// All methods, in the order of the table.
import { jointPruning } from "./ajpq/recipe.js";
import { calibratedWeights } from "./calibrated.js";
import { cat } from "./cat.js";
import { crq } from "./crq.js";
import { dctMaps } from "./dct-cm/recipe.js";
import { diffq } from "./diffq/recipe.js";
import { featureMaps } from "./feature-map-coding/recipe.js";
import { float } from "./float.js";
import type { Recipe } from "./recipe.js";
import { transforms } from "./transform-quantization/recipe.js";

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
