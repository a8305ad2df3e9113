/**
 * What a model has become since an earlier .bitdiet file, in as few bytes as it takes.
 *
 *     const { bytes } = await encodeUpdate(base, model);                  // as fine as the base is
 *     const { bytes } = await encodeUpdate(base, model, { maxBytes: 40_000 });
 *     await applyUpdate(base, bytes);                                     // the next file
 *
 * Values are told as multiples of the base's own steps, or of a power of 2 of them, by what a bit is worth: most weights then keep their
 * integers, and cost next to nothing. What the base's steps say about where outputs depend on them holds on.
 */
import { BudgetError } from "../compress.js";
import { lostBits, roundedSignificands } from "../encoded-model.js";
import {
  decodeMetadata,
  decodeQuantized,
  decodeTensor,
  readHeader,
  type TensorEntry,
} from "../file/decode.js";
import { type EncodedTensor, encodeMetadata, encodeTensor, filePieces } from "../file/encode.js";
import type { QuantizedTensor } from "../file/quantized-tensor.js";
import { floatValues } from "../formats/floats.js";
import { FORMAT_ENTRY, tensorBytes } from "../loaders/open.js";
import { joinPieces, plainBytes } from "../loaders/source.js";
import {
  channelAxis,
  dtypeBits,
  elementCount,
  type FloatDtype,
  type Model,
  type ModelTensor,
} from "../model.js";
import { finenessOf, lambdaOfQuality } from "../quantize/quantize.js";
import { search } from "../quantize/search.js";
import { goalOf } from "../quantize/target.js";
import { quantizeWeights } from "../quantize/weights.js";
import { bitsBetween, bitsDtype, differenceOf } from "./difference.js";
import { sha256 } from "./next.js";
import { PLAN_ENTRY, type Stretch, writePlan } from "./plan.js";

/** How small or how exact: bytes of the update, 0 (coarse) to 100 (fine) as of `compressModel`, or bit for bit. */
export type UpdateTarget = { maxBytes: number } | { quality: number } | { exact: true };

export interface UpdateReport {
  bytes: number;
  /** Tensors that are as they were, are told by what changed, or anew; and those that are there no more. */
  tensors: Record<Stretch["kind"], number>;
  /** Of them, what each takes. */
  sizes: { name: string; bytes: number }[];
}

/** The base as decoders have it. */
interface Base {
  entries: ReadonlyMap<string, { entry: TensorEntry; place: number }>;
  values(entry: TensorEntry): Promise<Uint8Array>;
  quantized(entry: TensorEntry): Promise<QuantizedTensor | undefined>;
}

/** Squared units that a bit is worth: as of fresh integers, see quantize/weights.ts. */
const RATE_WEIGHT = 0.08;

/**
 * @param base a whole .bitdiet file
 * @param next of the same format. Tensors are matched by their names
 * @throws {CorruptInputError} if the base is damaged; {RangeError} if the models have nothing in common
 * @throws {BudgetError} if the update cannot be made as small
 */
export async function encodeUpdate(
  base: Uint8Array,
  next: Model,
  target?: UpdateTarget,
): Promise<{ bytes: Uint8Array; report: UpdateReport }> {
  const header = readHeader(base);
  const metadata = new Map(header.metadata.map((entry) => [entry.name, decodeMetadata(base, entry).bytes]));
  const changed = changedMetadata(metadata, next);
  const old = opened(base, header.tensors);
  const fineness = await finenessIn(old);
  const hash = await sha256(base);
  const attempt = async (wanted: number | undefined): Promise<Update> => {
    const parts: ChangedTensor[] = [];
    for (const tensor of next.tensors) parts.push(await changedTensor(tensor, old, { wanted, fineness }));
    const stretches = stretchesOf(parts, old.entries.size);
    const plan = encodeMetadata(PLAN_ENTRY, writePlan(hash, stretches));
    const own = parts.flatMap(({ encoded }) => encoded ?? []);
    const pieces = filePieces([plan, ...changed], own);
    return {
      pieces,
      bytes: pieces.reduce((sum, { length }) => sum + length, 0),
      bits: Number.NaN,
      stretches,
      own,
    };
  };
  const made = await met(target, fineness, attempt, next);
  const sizes = made.own.map(({ entry, bytes }) => ({ name: entry.name, bytes: bytes.length }));
  const tensors = { kept: 0, own: 0, changed: 0, gone: 0 };
  for (const { kind, count } of made.stretches) tensors[kind] += count;
  return { bytes: joinPieces(made.pieces), report: { bytes: made.bytes, tensors, sizes } };
}

interface Update {
  pieces: Uint8Array[];
  bytes: number;
  bits: number;
  stretches: Stretch[];
  own: EncodedTensor[];
}

async function met(
  target: UpdateTarget | undefined,
  fineness: number,
  attempt: (wanted: number | undefined) => Promise<Update>,
  next: Model,
): Promise<Update> {
  if (!target) return attempt(fineness);
  if ("exact" in target) return attempt(undefined);
  if ("quality" in target) return attempt(finenessOf(lambdaOfQuality(target.quality)));
  const weights = next.tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const { best, trials } = await search(goalOf(target, weights), 4 ** -fineness, (lambda) =>
    attempt(finenessOf(lambda)),
  );
  if (best) return best.made;
  const least = Math.min(...trials.map(({ measure }) => measure));
  throw new BudgetError(`expected at most ${target.maxBytes} bytes, but the update takes ${least}`);
}

/** Metadata that is new or other than it was. @throws {RangeError} where an update could not make the next of the base */
function changedMetadata(before: ReadonlyMap<string, Uint8Array>, next: Model) {
  const format = new TextDecoder().decode(before.get(FORMAT_ENTRY) ?? new Uint8Array());
  if (format !== next.format) throw new RangeError(`next: expected a model of ${format}, got ${next.format}`);
  const missing = [...before.keys()].find((name) => name !== FORMAT_ENTRY && !(name in next.metadata));
  if (missing !== undefined)
    throw new RangeError(`next: expected the same files, but ${missing} is not there: send the whole model`);
  return Object.entries(next.metadata).flatMap(([name, bytes]) => {
    if (name === PLAN_ENTRY)
      throw new RangeError(`next: no metadata of an update may be called ${PLAN_ENTRY}`);
    const old = before.get(name);
    return old && areEqual(old, bytes) ? [] : [encodeMetadata(name, plainBytes(bytes))];
  });
}

function opened(base: Uint8Array, tensors: readonly TensorEntry[]): Base {
  const integers = new Map<TensorEntry, QuantizedTensor>();
  return {
    entries: new Map(tensors.map((entry, place) => [entry.name, { entry, place }])),
    values: async (entry) => tensorBytes(await decodeTensor(base, entry)),
    async quantized(entry) {
      if (!entry.quantized) return undefined;
      const known = integers.get(entry) ?? (await decodeQuantized(base, entry));
      integers.set(entry, known);
      return known;
    },
  };
}

/** How fine a base's integers are, in bits: see `quantizeWeights`. */
async function finenessIn({ entries, quantized }: Base): Promise<number> {
  let [squares, count] = [0, 0];
  for (const { entry } of entries.values()) {
    const { integers = [] } = (await quantized(entry)) ?? {};
    for (const integer of integers) squares += integer * integer;
    count += integers.length;
  }
  return count === 0 || squares === 0
    ? finenessOf(lambdaOfQuality(85))
    : 1 + Math.log2(Math.sqrt(squares / count));
}

interface ChangedTensor {
  kind: "kept" | "own" | "changed";
  /** Place of the tensor of its name in the base. */
  place?: number;
  encoded?: EncodedTensor;
}

/** @param how fineness that is wanted, undefined for every bit, and that of the base */
async function changedTensor(
  tensor: ModelTensor,
  base: Base,
  how: { wanted: number | undefined; fineness: number },
): Promise<ChangedTensor> {
  const { name, dtype, shape, use } = tensor;
  const bytes = plainBytes(await tensor.bytes());
  const found = base.entries.get(name);
  const isSame = found && found.entry.dtype === dtype && `${found.entry.shape}` === `${shape}`;
  const { entry, place } = isSame ? found : { entry: undefined, place: undefined };
  const axis = how.wanted === undefined ? undefined : channelAxis(tensor);
  if (entry && axis !== undefined && entry.quantized) {
    const difference = differenceOf(
      (await base.quantized(entry))!,
      floatValues(dtype as FloatDtype, bytes),
      steps(how),
    );
    if (difference?.integers.every((change) => change === 0)) return { kind: "kept", place };
    if (difference)
      return {
        kind: "changed",
        place,
        encoded: encodeTensor({ name, dtype: "float32", quantized: difference }),
      };
  }
  const before = entry && dtype !== "string" ? await base.values(entry) : undefined;
  const isRounded = use.kind === "vector" && dtype === "float32" && how.wanted !== undefined;
  const values = isRounded ? roundedSignificands(bytes, lostBits(how.wanted!)) : bytes;
  // Rounded as the base was, a vector may not have changed at all.
  const asBefore = isRounded && before ? roundedSignificands(bytes, unusedBits(before)) : values;
  if (before && areEqual(before, asBefore)) return { kind: "kept", place };
  const fresh =
    axis === undefined
      ? undefined
      : quantizeWeights({ values: floatValues(dtype as FloatDtype, bytes), shape, axis }, how.wanted!);
  const lie = use.kind === "integers" ? { integers: use.lie } : {};
  const own = encodeTensor(
    fresh ? { name, dtype, quantized: fresh } : { name, dtype, shape, bytes: values, ...lie },
  );
  const width = dtypeBits[dtype] / 8;
  if (!before || width < 1) return { kind: "own", encoded: own };
  const change = bitsBetween(before, values, width);
  const told = encodeTensor({ name, dtype: bitsDtype[width] ?? "uint64", shape, bytes: change });
  return told.bytes.length < own.bytes.length
    ? { kind: "changed", place, encoded: told }
    : { kind: "own", encoded: own };
}

/** Last bits of float32 numbers that are 0 in all of them. */
function unusedBits(bytes: Uint8Array): number {
  const all = new Uint32Array(bytes.slice().buffer).reduce((used, word) => used | word, 0);
  return all === 0 ? 0 : 31 - Math.clz32(all & -all);
}

/** Units nearest to the wanted fineness, and what a bit is worth in them. */
function steps({ wanted, fineness }: { wanted: number | undefined; fineness: number }) {
  const finer = wanted! - fineness;
  const octaves = Math.round(finer);
  return { octaves, rate: RATE_WEIGHT * 4 ** (octaves - finer) };
}

/** What becomes of the tensors, in the order of the next model. Those of the base that come out of turn are told anew. */
function stretchesOf(parts: readonly ChangedTensor[], before: number): Stretch[] {
  const stretches: Stretch[] = [];
  const add = (kind: Stretch["kind"], count = 1) => {
    const last = stretches.at(-1);
    if (last?.kind === kind) last.count += count;
    else if (count > 0) stretches.push({ kind, count });
  };
  let old = 0;
  for (const { kind, place } of parts) {
    if (place === undefined || kind === "own") {
      add("own");
      continue;
    }
    if (place < old)
      throw new RangeError("next: expected its tensors in the order of the base's: send the whole model");
    add("gone", place - old);
    add(kind);
    old = place + 1;
  }
  add("gone", before - old);
  return stretches;
}

const areEqual = (a: Uint8Array, b: Uint8Array) =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);
