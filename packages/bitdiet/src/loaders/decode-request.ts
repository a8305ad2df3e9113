/**
 * What is asked of a Worker that decodes, and what it answers: plain data, since errors and classes do not survive the way.
 *
 *     await answerTo({ entry, part });   // { tensor: { name, dtype, shape, values } } or { error, isCorrupt: true }
 */
import { type DecodedTensor, decodePart, type Pause } from "../file/decode-part.js";
import type { TensorEntry } from "../file/entries.js";
import type { CheckedPart } from "../file/parts.js";

/** The arguments of `decodePart`. */
export interface DecodeRequest {
  entry: TensorEntry;
  part: CheckedPart;
  refinement?: CheckedPart;
}

export type DecodeAnswer = { tensor: DecodedTensor } | { error: string; isCorrupt: boolean };

/** Decodes; never throws. @param pause as of `decodePart` */
export async function answerTo(
  { entry, part, refinement }: DecodeRequest,
  pause?: Pause,
): Promise<DecodeAnswer> {
  try {
    return { tensor: await decodePart(entry, part, refinement, pause) };
  } catch (error) {
    const { name, message } = error as Error;
    return { error: message, isCorrupt: name === "CorruptInputError" };
  }
}
