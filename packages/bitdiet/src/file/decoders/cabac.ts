/** Adaptive binary arithmetic coding: integers of any size, as @bitdiet/cabac's FORMAT.md says. */
import { decodeWeightRows } from "@bitdiet/cabac/decode";
import type { DecodeIntegers } from "../integer-rows.js";

export const decode: DecodeIntegers = (bytes, count, { rowLength, kernel: [height, width] }) =>
  decodeWeightRows(bytes, count, { rowLength, height, width });
