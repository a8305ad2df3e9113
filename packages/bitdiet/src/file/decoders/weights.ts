/** Tables that the format itself defines: integers below 2^30, as the chapter "Weights" of @bitdiet/ans's FORMAT.md says. */
import { decodeWeightRows, weightBlocks } from "@bitdiet/ans/decode-weights";
import type { DecodeBlocks, DecodeIntegers, RowShape } from "../integer-rows.js";

const shapeOf = ({ rowLength, kernel: [height, width] }: RowShape) => ({ rowLength, height, width });

export const decode: DecodeIntegers = (bytes, count, rows) => decodeWeightRows(bytes, count, shapeOf(rows));

export const blocks: DecodeBlocks = (bytes, count, rows) => weightBlocks(bytes, count, shapeOf(rows));
