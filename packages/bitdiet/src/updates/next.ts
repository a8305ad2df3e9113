/**
 * The model that a file and an update of it make.
 *
 *     const { tensors } = await nextModel(await readFile("model.bitdiet"), await readFile("update.bitdelta"));
 *     await nextTensor(tensors[0]);   // as decodeTensor gives it
 *
 * An update is a .bitdiet file itself, of tensors that are new or say what has changed, and of a plan. So whatever is damaged in it is
 * found as in any other. It is for the very file whose SHA-256 it names.
 */
import {
  type DecodedTensor,
  type DecodeLimits,
  decodeMetadata,
  decodeQuantized,
  decodeTensor,
  type Header,
  readHeader,
  type TensorEntry,
} from "../file/decode.js";
import { CorruptInputError, must, named } from "../file/errors.js";
import { dequantize, type QuantizedTensor } from "../file/quantized-tensor.js";
import { tensorBytes as bytesOf } from "../loaders/open.js";
import { dtypeBits, tensorBytes } from "../model.js";
import { withBits, withDifference } from "./difference.js";
import { PLAN_ENTRY, readPlan } from "./plan.js";

/** A file whose header has been read. */
export interface ReadFile {
  bytes: Uint8Array;
  header: Header;
}

/** A tensor of the next model: where its bytes lie, and in what they were before, where only what has changed is told. */
export interface NextTensor {
  /** Of the next model's: its name and shape. Parts are those of `file`. */
  entry: TensorEntry;
  file: ReadFile;
  before?: { entry: TensorEntry; file: ReadFile };
}

export interface NextModel {
  metadata: Map<string, Uint8Array>;
  tensors: NextTensor[];
}

export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
}

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * @param limits of each of both files
 * @throws {CorruptInputError} if one of both is damaged, or the update is for another file
 */
export async function nextModel(
  base: Uint8Array,
  update: Uint8Array,
  limits: DecodeLimits = {},
): Promise<NextModel> {
  const [old, own] = [base, update].map((bytes): ReadFile => {
    const header = readHeader(bytes, limits);
    if (header.fileLength !== bytes.length)
      throw new CorruptInputError(`${bytes.length} bytes of a file of ${header.fileLength}`);
    return { bytes, header };
  });
  const [planEntry, ...changed] = own.header.metadata;
  if (planEntry?.name !== PLAN_ENTRY)
    throw new CorruptInputError("Not an update, but a model or another file");
  const plan = decodeMetadata(update, planEntry).bytes;
  const counts = { before: old.header.tensors.length, own: own.header.tensors.length };
  // The file's hash comes first: of another one the plan's counts say nothing.
  const wanted = plan.subarray(0, 32);
  const found = await sha256(base);
  if (hex(found) !== hex(wanted))
    throw new CorruptInputError(
      `the update is for the file of SHA-256 ${hex(wanted)}, not for that of ${hex(found)}`,
    );
  const metadata = new Map(
    old.header.metadata.map((entry) => [entry.name, decodeMetadata(base, entry).bytes]),
  );
  for (const entry of changed) metadata.set(entry.name, decodeMetadata(update, entry).bytes);
  const tensors: NextTensor[] = [];
  let [i, k] = [0, 0];
  for (const { kind, count } of named("update", () => readPlan(plan, counts)).stretches) {
    for (let n = 0; n < count; n++) {
      const before = kind === "own" ? undefined : { entry: old.header.tensors[i++], file: old };
      if (kind === "kept") tensors.push(before!);
      if (kind === "own") tensors.push({ entry: own.header.tensors[k++], file: own });
      if (kind === "changed") tensors.push(changedTensor(own.header.tensors[k++], own, before!));
    }
  }
  must(new Set(tensors.map(({ entry }) => entry.name)).size === tensors.length);
  return { metadata, tensors };
}

function changedTensor(
  entry: TensorEntry,
  file: ReadFile,
  before: NonNullable<NextTensor["before"]>,
): NextTensor {
  const { dtype, shape, quantized } = before.entry;
  must(`${shape}` === `${entry.shape}` && dtype !== "string" && dtypeBits[dtype] >= 8);
  // Integers change integers; bits change bits, those of what integers decode to among them.
  must(entry.quantized ? quantized !== undefined : entry.size === tensorBytes(dtype, shape));
  return { entry, file, before };
}

/** Integers of a tensor that has some, as it becomes. @throws {CorruptInputError} if its parts are damaged */
export async function nextQuantized({ entry, file, before }: NextTensor): Promise<QuantizedTensor> {
  const own = await decodeQuantized(file.bytes, entry);
  if (!before) return own;
  const old = await decodeQuantized(before.file.bytes, before.entry);
  return named(`tensor "${before.entry.name}"`, () => withDifference(old, own));
}

/** Elements of a tensor of which every bit is told, in its own type. */
export async function nextBytes({ entry, file, before }: NextTensor): Promise<Uint8Array> {
  const own = bytesOf(await decodeTensor(file.bytes, entry));
  if (!before) return own;
  const old = bytesOf(await decodeTensor(before.file.bytes, before.entry));
  return named(`tensor "${before.entry.name}"`, () => withBits(old, own, dtypeBits[before.entry.dtype] / 8));
}

/** A tensor of the next model, as decoders give them. */
export async function nextTensor(next: NextTensor): Promise<DecodedTensor> {
  const { entry, file, before } = next;
  if (!before) return decodeTensor(file.bytes, entry);
  const { name, dtype, shape } = before.entry;
  if (entry.quantized) return { name, dtype, shape, values: dequantize(await nextQuantized(next)) };
  const bytes = await nextBytes(next);
  return { name, dtype, shape, values: dtype === "float32" ? new Float32Array(bytes.buffer) : bytes };
}
