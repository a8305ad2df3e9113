/**
 * A model in parts, for as many jobs on as many machines: each compresses some of its tensors, and `joinShards` makes of their files the
 * file that one job would have made, byte for byte.
 *
 *     const { pieces } = await compressToPieces(model, { quality: 70 }, { shard: { index: 1, count: 4, settings: "quality 70" } });
 */
import { CorruptInputError } from "./file/errors.js";
import { elementCount, type Model, type ModelTensor, tensorBytes } from "./model.js";

/** Which part of a model a file has. */
export interface Shard {
  /** From 1 to `count`. */
  index: number;
  count: number;
  /** In words, all that the parts must have in common to fit each other. */
  settings: string;
}

/** What a part's file says of itself. */
export interface ShardEntry extends Shard {
  /** Tensors of the whole model, and how many of them come before this part's. */
  tensors: number;
  first: number;
}

/** The metadata that says which part a file is; a whole file has none. */
export const SHARD_ENTRY = "shard";

/**
 * The tensors of a part: neighbours, and about as many bytes in each part.
 *
 * @throws {RangeError} if there is no such part, or there are more parts than tensors
 */
export function shardOf(model: Model, { index, count }: Shard): { first: number; tensors: ModelTensor[] } {
  const { tensors } = model;
  if (!(Number.isInteger(count) && count >= 1 && count <= tensors.length))
    throw new RangeError(`expected 1 to ${tensors.length} shards, one a tensor, got ${count}`);
  if (!(Number.isInteger(index) && index >= 1 && index <= count))
    throw new RangeError(`expected a shard from 1 to ${count}, got ${index}`);
  const sizes = tensors.map(({ dtype, shape }) => tensorBytes(dtype, shape) ?? elementCount(shape));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const starts = [0];
  let before = 0;
  for (const [i, size] of sizes.entries()) {
    const part = starts.length;
    const isFull = before + size / 2 > (total * part) / count;
    // No part is empty: neither this one, nor one of those that follow.
    const mustEnd = tensors.length - i === count - part;
    if (part < count && i > starts[part - 1] && (isFull || mustEnd)) starts.push(i);
    before += size;
  }
  const first = starts[index - 1];
  return { first, tensors: tensors.slice(first, starts[index] ?? tensors.length) };
}

export function shardBytes(model: Model, shard: Shard): Uint8Array {
  const { index, count, settings } = shard;
  const entry: ShardEntry = {
    index,
    count,
    settings,
    tensors: model.tensors.length,
    first: shardOf(model, shard).first,
  };
  return new TextEncoder().encode(JSON.stringify(entry));
}

/** What a file says it is a part of, undefined if it is whole. @throws {CorruptInputError} if what it says is no part */
export function shardIn({ metadata }: Pick<Model, "metadata">): ShardEntry | undefined {
  const bytes = Object.hasOwn(metadata, SHARD_ENTRY) ? metadata[SHARD_ENTRY] : undefined;
  if (bytes === undefined) return undefined;
  try {
    const { index, count, settings, tensors, first } = JSON.parse(new TextDecoder().decode(bytes));
    const numbers = [index, count, tensors, first];
    if (numbers.every(Number.isSafeInteger) && typeof settings === "string" && index >= 1 && index <= count)
      return { index, count, settings, tensors, first };
  } catch {
    // No JSON, or none of an object.
  }
  throw new CorruptInputError("the file does not say which part of a model it is");
}
