/**
 * Decoding while a file arrives: tensors come out as soon as their bytes are there.
 *
 *     const decoder = streamDecoder();
 *     for await (const chunk of response.body) for (const item of await decoder.push(chunk)) use(item);
 *     decoder.end();
 */
import { type DecodedTensor, decodePart } from "../file/decode-part.js";
import { named } from "../file/errors.js";
import type { Header } from "../file/header.js";
import type { DecodeLimits } from "../file/limits.js";
import { type DecodedMetadata, decodeMetadataPart } from "../file/metadata.js";
import { checkedPart } from "../file/parts.js";
import { type Arrived, arrivalOf } from "./arrival.js";

/** What a stream decoder gives out. */
export type StreamItem =
  | { header: Header }
  | { metadata: DecodedMetadata }
  /** `isFinal` is false for a coarse tensor whose refinement is still to come. */
  | { tensor: DecodedTensor; isFinal: boolean };

/** Takes a file in pieces of any lengths. */
export interface StreamDecoder {
  /**
   * @returns what is complete with these bytes, in the order of the file
   * @throws {CorruptInputError} at the first part that is changed; the decoder is of no use then
   */
  push(chunk: Uint8Array): Promise<StreamItem[]>;
  /** Call it after the last bytes. @throws {CorruptInputError} if the file does not end there */
  end(): void;
}

/**
 * A decoder for one file. It holds the bytes of one part, and the first parts of tensors that are to be refined.
 *
 * @param limits for all tensors and metadata together
 */
export function streamDecoder(limits: DecodeLimits = {}): StreamDecoder {
  const arrival = arrivalOf(limits);
  let isStarted = false;
  return {
    async push(chunk) {
      arrival.push(chunk);
      const items: StreamItem[] = [];
      const header = arrival.header();
      if (header && !isStarted) items.push({ header });
      isStarted = header !== undefined;
      for (let step = arrival.next(); step; step = arrival.next()) {
        const { bytes, part, what, accept } = step;
        for (const arrived of accept(named(what, () => checkedPart(bytes, part))))
          items.push(await decoded(arrived));
      }
      return items;
    },
    end: arrival.end,
  };
}

async function decoded(arrived: Arrived): Promise<StreamItem> {
  const { entry, part, refinement } = arrived;
  if ("coder" in entry) return { metadata: decodeMetadataPart(entry, part) };
  const isFinal = entry.refinementPart === undefined || refinement !== undefined;
  return { tensor: await decodePart(entry, part, refinement), isFinal };
}
