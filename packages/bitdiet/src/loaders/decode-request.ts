/**
 * What is asked of a Worker that decodes, and what it answers: plain data, since errors and classes do not survive the way.
 *
 *     answerTo({ entry, parts, limits });   // { tensor: { name, dtype, shape, values } } or { error, isCorrupt: true }
 */
import { type DecodedTensor, decodeParts } from "../file/decode-part.js";
import type { TensorEntry } from "../file/header.js";
import type { DecodeLimits, TensorParts } from "../file/parts.js";

/** The arguments of `decodeParts`. */
export interface DecodeRequest {
  entry: TensorEntry;
  parts: TensorParts;
  limits: DecodeLimits;
}

export type DecodeAnswer = { tensor: DecodedTensor } | { error: string; isCorrupt: boolean };

/** Decodes; never throws. */
export function answerTo({ entry, parts, limits }: DecodeRequest): DecodeAnswer {
  try {
    return { tensor: decodeParts(entry, parts, limits) };
  } catch (error) {
    const { name, message } = error as Error;
    return { error: message, isCorrupt: name === "CorruptInputError" };
  }
}
