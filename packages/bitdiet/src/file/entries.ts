/**
 * What a file says about each of its parts: names, types, shapes, lengths. FORMAT.md, "Fields".
 *
 *     readEntries({ bytes: writeEntries(metadata, tensors), position: 0 }, Infinity)   // the same entries
 */
import { type Dtype, dtypeNames, type IntegerRows, isFloat, tensorBytes } from "../model.js";
import { must, named } from "./errors.js";
import { integerLayout } from "./integer-layout.js";
import { decoders } from "./integers.js";
import { maxNameBytes, nameReader, nameWriter } from "./names.js";
import { elementsOf, type Reader, readNumber, writeNumber } from "./numbers.js";

/** A stretch of the file. */
export interface Part {
  /** Offset in the file, in bytes. */
  start: number;
  length: number;
  /** xxHash32 of its bytes. */
  hash: number;
}

/** Something opaque that rides along: a topology, a graph, `__metadata__`. */
export interface MetadataEntry {
  name: string;
  /** Bytes as decoded. */
  size: number;
  /** Its place in the list of byte-coders.ts. */
  coder: number;
  part: Part;
}

export interface TensorEntry {
  name: string;
  dtype: Dtype;
  shape: number[];
  /** Bytes as decoded: those of float32 values for a quantized tensor, else as they were. */
  size: number;
  /** Absent where every bit is kept. */
  quantized?: {
    axis: number;
    /** Whether each row has a step of its own. */
    perRow: boolean;
    /** Its place in the lists of integers.ts. */
    coder: number;
    /** Absent where the first part has everything. */
    refinement?: { bits: number; coder: number };
  };
  /** Of a tensor of integers that the coders of weights have coded, bit for bit: how they lie, and by which of them. */
  integers?: IntegerRows & { coder: number };
  /** Place of the earlier tensor that this one equals in all but its name: both have the same parts, which are there once. */
  same?: number;
  /** What the tensor needs, coarsely if there is a second part. */
  part: Part;
  /** What the coarse integers lack; behind the first parts of all tensors. */
  refinementPart?: Part;
}

export interface Entries {
  metadata: MetadataEntry[];
  tensors: TensorEntry[];
}

const PER_ROW = 1;
const REFINEMENT = 2;
export const MAX_RANK = 32;

/** Parts in the order of the file: of metadata, of tensors, refinements. Those of equal tensors are there once. */
export function partsOf({ metadata, tensors }: Entries): Part[] {
  const own = tensors.filter(({ same }) => same === undefined);
  return [
    ...metadata.map(({ part }) => part),
    ...own.map(({ part }) => part),
    ...own.flatMap(({ refinementPart }) => refinementPart ?? []),
  ];
}

/** Entries to fields. Where parts start is not asked. @throws {RangeError} if a name is there twice, or names cannot be written */
export function writeEntries({ metadata, tensors }: Entries): Uint8Array {
  const fields: number[] = [];
  const numbers = (...list: number[]) => {
    for (const number of list) writeNumber(fields, number);
  };
  const budget = { used: 0 };
  const writeBlobName = nameWriter(fields, "metadata", budget);
  numbers(metadata.length);
  for (const { name, size, coder, part } of metadata) {
    writeBlobName(name);
    numbers(size, coder, part.length);
  }
  const writeTensorName = nameWriter(fields, "tensors", budget);
  numbers(tensors.length);
  tensors.forEach(({ name, dtype, shape, size, quantized, integers, same, part, refinementPart }, index) => {
    writeTensorName(name);
    if (same !== undefined) {
      numbers(0, index - same);
      return;
    }
    numbers(2 * dtypeNames.indexOf(dtype) + (quantized || integers ? 3 : 2), shape.length, ...shape);
    if (quantized) {
      const { axis, perRow, coder, refinement } = quantized;
      numbers((perRow ? PER_ROW : 0) + (refinement ? REFINEMENT : 0), coder, axis);
      if (refinement) numbers(refinement.bits, refinement.coder);
    } else if (integers) numbers(integers.coder, integers.axis, integers.width);
    else if (dtype === "string") numbers(size);
    numbers(part.length);
    if (refinementPart) numbers(refinementPart.length);
  });
  if (budget.used > maxNameBytes(fields.length))
    throw new RangeError(
      `names: expected at most ${maxNameBytes(fields.length)} bytes in all, got ${budget.used}`,
    );
  return Uint8Array.from(fields);
}

/** What an entry takes without its name, about. */
const ENTRY_BYTES = 128;

/**
 * The inverse, where parts lie left open: `start` and `hash` are 0.
 *
 * @param room bytes that entries and their names may take
 */
export function readEntries(reader: Reader, room: number): Entries {
  const next = () => readNumber(reader);
  const part = (): Part => ({ start: 0, length: next(), hash: 0 });
  const budget = { left: maxNameBytes(reader.bytes.length), room };
  const list = <Entry>(read: (name: string, before: readonly Entry[]) => Entry): Entry[] => {
    const readName = nameReader(reader, budget);
    const entries: Entry[] = [];
    for (let count = next(); count > 0; count--) {
      budget.room -= ENTRY_BYTES;
      const name = readName();
      entries.push(named(`"${name.slice(0, 80)}"`, () => read(name, entries)));
    }
    return entries;
  };
  const metadata = list((name): MetadataEntry => ({ name, size: next(), coder: next(), part: part() }));
  const tensors = list<TensorEntry>((name, before) => {
    const kind = next();
    if (kind === 0) {
      const same = before.length - next();
      must(same >= 0 && same < before.length && before[same].same === undefined);
      return { ...before[same], name, same };
    }
    must(kind > 1 && kind >> 1 <= dtypeNames.length);
    const entry = readTensor(reader, name, dtypeNames[(kind >> 1) - 1], (kind & 1) > 0);
    const whole: TensorEntry = { ...entry, part: part() };
    if (entry.quantized?.refinement) whole.refinementPart = part();
    return whole;
  });
  return { metadata, tensors };
}

function readTensor(
  reader: Reader,
  name: string,
  dtype: Dtype,
  isQuantized: boolean,
): Omit<TensorEntry, "part"> {
  const next = () => readNumber(reader);
  const rank = next();
  must(rank <= MAX_RANK);
  const shape = Array.from({ length: rank }, next);
  if (!isQuantized) {
    const size = tensorBytes(dtype, shape) ?? next();
    return checkedEntry({ name, dtype, shape, size });
  }
  if (!isFloat(dtype)) {
    const integers = { coder: next(), axis: next(), width: next() };
    return checkedEntry({ name, dtype, shape, size: tensorBytes(dtype, shape) ?? 0, integers });
  }
  const [flags, coder, axis] = [next(), next(), next()];
  must(flags < 4);
  const quantized: TensorEntry["quantized"] = { axis, perRow: (flags & PER_ROW) > 0, coder };
  if (flags & REFINEMENT) quantized.refinement = { bits: next(), coder: next() };
  return checkedEntry({ name, dtype, shape, size: 4 * elementsOf(shape), quantized });
}

/** What readers refuse, and so no writer may write. @throws {CorruptInputError} unless the parts of an entry fit each other */
export function checkedEntry<Entry extends Omit<TensorEntry, "part">>(entry: Entry): Entry {
  const { dtype, shape, size, quantized, integers } = entry;
  const elements = elementsOf(shape);
  must(shape.length <= MAX_RANK && elements <= 2 ** 49 && Number.isInteger(size));
  if (integers) must(integers.coder < decoders.length && integerLayout(dtype, shape, integers) !== undefined);
  if (!quantized) return entry;
  const { axis, coder, refinement } = quantized;
  must(isFloat(dtype) && elements > 0 && elements < 2 ** 31 && axis < Math.max(1, shape.length));
  must(coder < decoders.length);
  if (refinement) must(refinement.bits > 0 && refinement.bits <= 30 && refinement.coder < decoders.length);
  return entry;
}
