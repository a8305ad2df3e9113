/** Tables that the format itself defines: integers below 2^30, as the chapter "Weights" of @bitdiet/ans's FORMAT.md says. */
import { decodeWeightRows } from "@bitdiet/ans/decode-weights";
import type { DecodeIntegers } from "../integer-rows.js";

export const decode: DecodeIntegers = (bytes, count, { rowLength, kernel: [height, width] }) =>
  decodeWeightRows(bytes, count, { rowLength, height, width });
