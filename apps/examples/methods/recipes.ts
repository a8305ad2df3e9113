// All methods, in the order of the table.
import { cat } from "./cat.js";
import { crq } from "./crq.js";
import { diffq } from "./diffq.js";
import { float } from "./float.js";
import type { Recipe } from "./recipe.js";

export const RECIPES: Recipe[] = [float, cat, diffq, crq];
