/**
 * Parts of a model, each compressed by a job of its own, as one file: the bytes that one job would have written. Nothing is decoded,
 * and one tensor at a time is in memory.
 *
 *     for await (const bytes of (await joinShards(sources)).pieces()) file.write(bytes);
 */
import { storedOnce } from "./file/encode.js";
import type { MetadataEntry, Part, TensorEntry } from "./file/entries.js";
import { CorruptInputError, named } from "./file/errors.js";
import type { Header } from "./file/header.js";
import { checkedPart } from "./file/parts.js";
import { writeHeader } from "./file/write-header.js";
import { openBitdiet } from "./loaders/open.js";
import { type ByteSource, readRange } from "./loaders/source.js";
import { SHARD_ENTRY, type ShardEntry, shardIn } from "./shard.js";

/** A part's file, opened. */
interface Opened {
  source: ByteSource;
  header: Header;
  shard: ShardEntry;
}

/** An entry of the joined file, and where its bytes are. */
interface Placed<Entry> {
  source: ByteSource;
  entry: Entry;
  part: Part;
  refinementPart?: Part;
}

export interface Joined {
  tensors: number;
  /** The file, in order. @throws {CorruptInputError} at the first part that is not what was written */
  pieces(): AsyncGenerator<Uint8Array>;
}

/**
 * @param sources of all parts of one model, in any order
 * @throws {RangeError} naming what is no part, is missing, is there twice or was made with other settings
 * @throws {CorruptInputError} if one is damaged
 */
export async function joinShards(sources: readonly ByteSource[]): Promise<Joined> {
  const opened = (await Promise.all(sources.map(open))).sort((a, b) => a.shard.index - b.shard.index);
  checkFit(opened);
  const [first] = opened;
  const metadata = first.header.metadata.filter(({ name }) => name !== SHARD_ENTRY);
  const placed = opened.flatMap(placedTensors);
  const entries = await sameOnce(placed);
  const header = writeHeader(metadata, entries);
  const own = placed.filter((_, i) => entries[i].same === undefined);
  return {
    tensors: entries.length,
    async *pieces() {
      yield header;
      for (const { name, part } of metadata) yield read(first.source, part, `metadata "${name}"`);
      for (const { source, entry, part } of own) yield read(source, part, `tensor "${entry.name}"`);
      for (const { source, entry, refinementPart } of own)
        if (refinementPart) yield read(source, refinementPart, `tensor "${entry.name}"`);
    },
  };
}

async function open(source: ByteSource): Promise<Opened> {
  const { header, model } = await openBitdiet(source);
  const shard = named(source.name, () => shardIn(model));
  if (!shard) throw new RangeError(`${source.name}: is a whole model, not a part of one`);
  return { source, header, shard };
}

/** @throws {RangeError} unless the files, by their indices, are all parts of one model */
function checkFit(opened: readonly Opened[]): void {
  if (opened.length === 0) throw new RangeError("expected the parts of a model, got none");
  const [first] = opened;
  const { count, settings, tensors } = first.shard;
  const nameOf = ({ source }: Opened) => source.name;
  for (const [i, one] of opened.entries()) {
    const { shard } = one;
    if (shard.count !== count || shard.tensors !== tensors || !hasSameMetadata(first, one))
      throw new RangeError(`${nameOf(one)}: is a part of another model than ${nameOf(first)}`);
    if (shard.settings !== settings)
      throw new RangeError(
        `${nameOf(one)}: was made with ${shard.settings}, ${nameOf(first)} with ${settings}`,
      );
    if (i > 0 && shard.index === opened[i - 1].shard.index)
      throw new RangeError(`${nameOf(one)}: is part ${shard.index}, and so is ${nameOf(opened[i - 1])}`);
  }
  const missing = Array.from({ length: count }, (_, i) => i + 1).filter(
    (index) => !opened.some(({ shard }) => shard.index === index),
  );
  if (missing.length > 0)
    throw new RangeError(`expected ${count} parts; ${missing.join(", ")} of them missing`);
  let next = 0;
  for (const { shard, header, source } of opened) {
    if (shard.first !== next)
      throw new CorruptInputError(`${source.name}: its tensors are not those of its part`);
    next += header.tensors.length;
  }
  if (next !== tensors) throw new CorruptInputError(`expected ${tensors} tensors in all parts, got ${next}`);
}

function hasSameMetadata(a: Opened, b: Opened): boolean {
  const key = ({ header }: Opened) =>
    JSON.stringify(
      header.metadata
        .filter(({ name }) => name !== SHARD_ENTRY)
        .map(({ part, ...entry }: MetadataEntry) => [entry, part.length, part.hash]),
    );
  return key(a) === key(b);
}

/** A part's tensors as if each had bytes of its own, in the form in which an encoder gives entries. */
function placedTensors({ source, header }: Opened): Placed<TensorEntry>[] {
  return header.tensors.map(({ same: _, part, refinementPart, ...entry }) => {
    const unplaced = ({ length, hash }: Part): Part => ({ start: 0, length, hash });
    const refinement = refinementPart && { refinementPart: unplaced(refinementPart) };
    return { source, entry: { ...entry, part: unplaced(part), ...refinement }, part, refinementPart };
  });
}

/** Entries of which those that equal an earlier one say so. A hash of four bytes tells the likely ones, bytes the sure ones. */
async function sameOnce(placed: readonly Placed<TensorEntry>[]): Promise<TensorEntry[]> {
  const entries: TensorEntry[] = [];
  for (const [i, { entry }] of storedOnce(placed.map(({ entry }) => ({ entry }))).entries()) {
    const { same, ...own } = entry;
    entries.push(same !== undefined && (await areSame(placed[same], placed[i])) ? entry : own);
  }
  return entries;
}

async function areSame(a: Placed<TensorEntry>, b: Placed<TensorEntry>): Promise<boolean> {
  const parts = async ({ source, entry, part, refinementPart }: Placed<TensorEntry>) => [
    await read(source, part, entry.name),
    ...(refinementPart ? [await read(source, refinementPart, entry.name)] : []),
  ];
  const [own, others] = [await parts(a), await parts(b)];
  return own.every(
    (bytes, i) => bytes.length === others[i].length && bytes.every((byte, k) => byte === others[i][k]),
  );
}

async function read(source: ByteSource, part: Part, what: string): Promise<Uint8Array> {
  const bytes = await readRange(source, part.start, part.start + part.length);
  return named(`${source.name}: ${what}`, () => checkedPart(bytes, part));
}
