/**
 * Decoding while a file arrives: tensors come out as soon as their bytes are there.
 *
 *     const decoder = streamDecoder();
 *     for await (const chunk of response.body) for (const item of decoder.push(chunk)) use(item);
 *     decoder.end();
 */
import { type DecodedMetadata, type DecodedTensor, decodeMetadata, decodeParts } from "./decode-part.js";
import { CorruptInputError } from "./errors.js";
import { type Header, headerLength, readHeader, type TensorEntry } from "./header.js";
import { type DecodeLimits, limitOf } from "./parts.js";

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
  push(chunk: Uint8Array): StreamItem[];
  /** Call it after the last bytes. @throws {CorruptInputError} if the file does not end there */
  end(): void;
}

/**
 * Decodes while a file arrives. It holds the bytes of one part, and the first parts of tensors that are to be refined.
 *
 * @param limits maxBytes: for all tensors and metadata together
 */
export function streamDecoder(limits: DecodeLimits = {}): StreamDecoder {
  const chunks: Uint8Array[] = [];
  let pending = 0;
  let received = 0;
  let spent = 0;
  let isStarted = false;
  /** What is still to come: how many bytes, and what they become. */
  const waiting: { length: number; decode: (bytes: Uint8Array) => StreamItem }[] = [];

  const take = (length: number): Uint8Array => {
    const taken = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const piece = chunks[0].subarray(0, length - at);
      taken.set(piece, at);
      at += piece.length;
      if (piece.length < chunks[0].length) chunks[0] = chunks[0].subarray(piece.length);
      else chunks.shift();
    }
    pending -= length;
    return taken;
  };
  /** What is left of the limit for an entry of this size. */
  const spend = (size: number): DecodeLimits => {
    spent += size;
    return { maxBytes: limitOf(limits, received) - spent + size };
  };
  const start = (): void => {
    const bytes = take(pending);
    chunks.push(bytes);
    pending = bytes.length;
    const length = headerLength(bytes);
    if (length === undefined) return;
    isStarted = true;
    waiting.push({ length, decode: begin });
  };
  const begin = (bytes: Uint8Array): StreamItem => {
    const header = readHeader(bytes);
    for (const entry of header.metadata) {
      const { part } = entry;
      const here = { ...entry, part: { ...part, start: 0 } };
      waiting.push({
        length: part.length,
        decode: (bytes) => ({ metadata: decodeMetadata(bytes, here, spend(entry.size)) }),
      });
    }
    const firstParts = new Map<TensorEntry, Uint8Array>();
    for (const entry of header.tensors) {
      const isFinal = entry.refinementPart === undefined;
      waiting.push({
        length: entry.part.length,
        decode: (bytes) => {
          if (!isFinal) firstParts.set(entry, bytes);
          return { tensor: decodeParts(entry, { bytes }, spend(entry.size)), isFinal };
        },
      });
    }
    for (const entry of header.tensors) {
      if (entry.refinementPart === undefined) continue;
      waiting.push({
        length: entry.refinementPart.length,
        decode: (refinement) => {
          const bytes = firstParts.get(entry) as Uint8Array;
          firstParts.delete(entry);
          const tensor = decodeParts(entry, { bytes, refinement }, { maxBytes: entry.size });
          return { tensor, isFinal: true };
        },
      });
    }
    return { header };
  };

  return {
    push(chunk) {
      if (!(chunk instanceof Uint8Array))
        throw new TypeError(`chunk: expected a Uint8Array, got ${typeof chunk}`);
      if (chunk.length > 0) chunks.push(chunk);
      pending += chunk.length;
      received += chunk.length;
      const items: StreamItem[] = [];
      if (!isStarted) start();
      while (waiting.length > 0 && waiting[0].length <= pending) {
        const { length, decode } = waiting[0];
        items.push(decode(take(length)));
        waiting.shift();
      }
      return items;
    },
    end() {
      if (!isStarted || waiting.length > 0) throw new CorruptInputError("The file is cut");
      if (pending > 0) throw new CorruptInputError(`${pending} bytes follow the end of the file`);
    },
  };
}
