/**
 * A file that arrives: bytes wait until a part is whole, and parts come out in the order of the file, with what they complete.
 *
 *     const arrival = arrivalOf(limits);
 *     arrival.push(chunk);
 *     for (let step = arrival.next(); step; step = arrival.next())
 *       for (const { entry, part } of step.accept(checkedPart(step.bytes, step.part))) await decodePart(entry, part);
 *
 * Each part is hashed once, by whoever takes it from here: who pulls can fetch a damaged one again, who is pushed cannot.
 */
import type { DecodedTensor } from "../file/decode-part.js";
import type { MetadataEntry, Part, TensorEntry } from "../file/entries.js";
import { CorruptInputError } from "../file/errors.js";
import { type Header, headerLength, readHeader } from "../file/header.js";
import type { DecodeLimits } from "../file/limits.js";
import { join } from "../file/numbers.js";
import type { CheckedPart } from "../file/parts.js";

/** What `decodePart` takes. */
export type Arrived =
  | { entry: MetadataEntry; part: CheckedPart; refinement?: undefined }
  | { entry: TensorEntry; part: CheckedPart; refinement?: CheckedPart };

/** A part that is whole, not yet held against its hash. */
export interface ArrivalStep {
  part: Part;
  /** What it belongs to, for messages. */
  what: string;
  bytes: Uint8Array;
  /** @returns what is complete with this part, in the order of the file; of a tensor in two parts first the coarse one */
  accept(part: CheckedPart): Arrived[];
}

export interface Arrival {
  push(chunk: Uint8Array): void;
  /** Bytes that wait. */
  peek(): Uint8Array;
  /** Undefined until the header is there. @throws {CorruptInputError} if it is none, or beyond the limits */
  header(): Header | undefined;
  /** The next part, once; undefined until it is whole, and after the last. */
  next(): ArrivalStep | undefined;
  /** Whether all parts were taken. */
  isComplete(): boolean;
  /** Call it after the last bytes. @throws {CorruptInputError} if the file does not end there */
  end(): void;
}

export interface ArrivingModel {
  /** Name of the source, for messages. */
  name: string;
  header: Header;
  metadata: ReadonlyMap<string, Uint8Array>;
  /** All tensors in the order of the file, once. Those in two parts come at the end, when the second part is there. */
  tensors: AsyncIterable<DecodedTensor>;
  /** Ends the download; for those who do not take the tensors. */
  close(): Promise<void>;
}

export function arrivalOf(limits: DecodeLimits): Arrival {
  const queue = byteQueue();
  let header: Header | undefined;
  let waiting: Omit<ArrivalStep, "bytes">[] = [];
  const arrivedHeader = (): Header | undefined => {
    if (header) return header;
    header = takeHeader(queue, limits);
    if (header) waiting = stepsOf(header);
    return header;
  };
  const isComplete = () => arrivedHeader() !== undefined && waiting.length === 0;
  return {
    push: queue.push,
    peek: queue.peek,
    header: arrivedHeader,
    isComplete,
    next() {
      if (!arrivedHeader() || waiting.length === 0 || waiting[0].part.length > queue.length())
        return undefined;
      const step = waiting.shift() as (typeof waiting)[0];
      return { ...step, bytes: queue.take(step.part.length) };
    },
    end() {
      if (!isComplete()) throw new CorruptInputError("The file is cut");
      if (queue.length() > 0)
        throw new CorruptInputError(`${queue.length()} bytes follow the end of the file`);
    },
  };
}

/** Parts in the order of the file, each with what to do when it is there. */
function stepsOf({ metadata, tensors }: Header): Omit<ArrivalStep, "bytes">[] {
  /** First parts that are needed again: for a refinement, or for a tensor that is the same. */
  const kept = new Map<number, CheckedPart>();
  const lastUse = new Map<number, number>();
  tensors.forEach(({ same }, index) => {
    if (same !== undefined) lastUse.set(same, index);
  });
  const ofMetadata = metadata.map((entry) => ({
    part: entry.part,
    what: `metadata "${entry.name}"`,
    accept: (part: CheckedPart): Arrived[] => [{ entry, part }],
  }));
  const indices = tensors.map((_, index) => index);
  const own = indices.filter((index) => tensors[index].same === undefined);
  const firsts = own.map((index, place) => ({
    part: tensors[index].part,
    what: `tensor "${tensors[index].name}"`,
    accept: (part: CheckedPart): Arrived[] => {
      kept.set(index, part);
      // With it those that follow and equal an earlier one.
      return indices.slice(index, own[place + 1]).map((each) => {
        const source = tensors[each].same ?? index;
        const first = kept.get(source) as CheckedPart;
        if ((lastUse.get(source) ?? source) <= each && !tensors[source].refinementPart) kept.delete(source);
        return { entry: tensors[each], part: first };
      });
    },
  }));
  const refinements = own.flatMap((index) => {
    const { refinementPart, name } = tensors[index];
    if (!refinementPart) return [];
    const accept = (refinement: CheckedPart): Arrived[] => {
      const part = kept.get(index) as CheckedPart;
      kept.delete(index);
      const equal = tensors.filter(({ same }, each) => each === index || same === index);
      return equal.map((entry) => ({ entry, part, refinement }));
    };
    return [{ part: refinementPart, what: `tensor "${name}"`, accept }];
  });
  return [...ofMetadata, ...firsts, ...refinements];
}

/** Bytes in the order in which they came. */
export interface ByteQueue {
  push(chunk: Uint8Array): void;
  length(): number;
  /** All of them, which stay. */
  peek(): Uint8Array;
  /** The first ones, a copy. */
  take(length: number): Uint8Array;
}

export function byteQueue(): ByteQueue {
  let chunks: Uint8Array[] = [];
  let pending = 0;
  return {
    push(chunk) {
      if (!(chunk instanceof Uint8Array))
        throw new TypeError(`chunk: expected a Uint8Array, got ${typeof chunk}`);
      if (chunk.length > 0) chunks.push(chunk);
      pending += chunk.length;
    },
    length: () => pending,
    peek() {
      if (chunks.length !== 1) chunks = [join(chunks)];
      return chunks[0];
    },
    take(length) {
      const taken = new Uint8Array(length);
      let used = 0;
      for (let at = 0; at < length; ) {
        const piece = chunks[used].subarray(0, length - at);
        taken.set(piece, at);
        at += piece.length;
        if (piece.length < chunks[used].length) chunks[used] = chunks[used].subarray(piece.length);
        else used++;
      }
      chunks.splice(0, used);
      pending -= length;
      return taken;
    },
  };
}

/** The header, as soon as it is whole. @throws {CorruptInputError} if these bytes start no file, or one beyond the limits */
export function takeHeader(queue: ByteQueue, limits: DecodeLimits): Header | undefined {
  const length = headerLength(queue.peek());
  if (length === undefined || length > queue.length()) return undefined;
  return readHeader(queue.take(length), limits);
}

/** What to say of bytes that start no file: what servers send instead of one that is not there is a page. */
export function headerError(error: unknown, name: string, bytes: Uint8Array): Error {
  if (!(error instanceof CorruptInputError)) return error as Error;
  const isPage = /^\s*</.test(new TextDecoder().decode(bytes.subarray(0, 16)));
  return new CorruptInputError(`${name}: ${error.message}${isPage ? ", but a page of HTML" : ""}`);
}
