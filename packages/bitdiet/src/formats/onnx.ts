import {
  type Dtype,
  elementCount,
  type Model,
  ModelFileError,
  type ModelTensor,
  type TensorUse,
  tensorBytes,
} from "../model.js";
import { checkIsModel, type ModelFiles } from "./files.js";
import { filesBeside, type Stretch } from "./onnx/beside.js";
import { flatModel, type OnnxConstant } from "./onnx/flat.js";
import { onnxProto } from "./onnx/graph.js";
import { onnxRoles } from "./onnx/roles.js";
import { ATTRIBUTE_FLOATS, ATTRIBUTE_INTS, type Cut, cutOut, isCuttable } from "./onnx/skeleton.js";
import { inlineData, listData } from "./onnx/tensor.js";
import { onnxMetadata } from "./onnx/write.js";
import { usesIn } from "./use.js";
import { checkedUse } from "./values.js";

/** Smaller ones are often shapes or scalars, which a runtime wants to see in the graph itself. */
const MIN_ELEMENTS = 64;

/**
 * @param name the .onnx file; files with its external data are looked for beside it
 * @throws {ModelFileError} if the files are damaged, or one is not there
 */
export async function readOnnx(files: ModelFiles, name: string): Promise<Model> {
  const folder = name.slice(0, name.lastIndexOf("/") + 1);
  const bytes = await files.read(name);
  checkIsModel(bytes, name);
  try {
    const flat = flatModel(onnxProto(bytes));
    const useOf = usesIn(flat.operations, onnxRoles(flat), flat.inputs);
    const tensors: ModelTensor[] = [];
    const cuts = new Map<Uint8Array, Cut>();
    const stretches = await usableStretches(files, folder, flat.constants);
    const beside = new Map<number, Stretch>();
    for (const constant of flat.constants) {
      const { dtype, shape, value } = constant;
      if (dtype === undefined) continue;
      const { stretch, sharers = [] } = stretches.get(constant.message) ?? {};
      const data = constant.tensor?.external ? undefined : inlineNumbers(constant);
      if (data && isCuttable(constant.message, data, dtype))
        cuts.set(constant.message, { place: tensors.length, data });
      else if (stretch) beside.set(tensors.length, stretch);
      else continue;
      const read = async (count = Infinity) => {
        if (!stretch) return data!.bytes.subarray(0, count);
        const { location, offset, length } = stretch;
        return files.read(folder + location, offset, offset + Math.min(length, count));
      };
      const uses = [value, ...sharers.map((sharer) => sharer.value)].map((each) =>
        each === undefined ? notFollowed : useOf(each, shape),
      );
      const followed = uses.find(({ kind }) => kind === "exact") ?? uses[0];
      const use = await checkedUse(followed, dtype, shape, read);
      tensors.push({ name: constant.name, dtype, ...asRows(use, shape), bytes: () => read() });
    }
    const locations = flat.constants.flatMap(({ tensor }) => tensor?.external?.location ?? []);
    const { files: found, gaps } = await filesBeside(files, folder, beside, locations);
    const graph = cutOut(bytes, cuts);
    const metadata = onnxMetadata(graph, { name: name.slice(folder.length), files: found }, gaps);
    return { format: "onnx", tensors, metadata };
  } catch (error) {
    if (!(error instanceof ModelFileError) || error.message.startsWith(name)) throw error;
    throw new ModelFileError(`${name}: ${error.message}`);
  }
}

const notFollowed: TensorUse = { kind: "exact", reason: "attribute of an operation" };

/** A list of numbers that becomes a matrix later, or lies in a sparse one, as a single row: it has one step. */
function asRows(use: TensorUse, shape: number[]): { use: TensorUse; shape: number[] } {
  const isList = "channelAxis" in use && shape[use.channelAxis] === elementCount(shape);
  return isList ? { use: { ...use, channelAxis: 0 }, shape: [1, elementCount(shape)] } : { use, shape };
}

/** Numbers in a message that are enough to be a tensor of the model. */
function inlineNumbers({ shape, dtype, tensor, message }: OnnxConstant) {
  if (dtype === undefined || elementCount(shape) < MIN_ELEMENTS) return undefined;
  if (tensor) return inlineData(tensor);
  return listData(message, dtype === "float32" ? ATTRIBUTE_FLOATS : ATTRIBUTE_INTS, dtype);
}

/**
 * Stretches of files beside the model by the messages that name them. Of tensors with the very same stretch and type only the first
 * is there: what is written for it is the others' too. One that shares a part with another is not: it stays as it is, between tensors.
 */
async function usableStretches(
  files: ModelFiles,
  folder: string,
  constants: readonly OnnxConstant[],
): Promise<Map<Uint8Array, { stretch: Stretch; sharers: OnnxConstant[] }>> {
  const found: { constant: OnnxConstant; message: Uint8Array; dtype?: Dtype; stretch: Stretch }[] = [];
  for (const constant of constants) {
    const { tensor, dtype, shape, name, message } = constant;
    if (!tensor?.external) continue;
    const { location, offset, length } = tensor.external;
    const size = await files.size(folder + location);
    const expected = dtype && tensorBytes(dtype, shape);
    const stretch = { location, offset, length: length ?? expected ?? size - offset };
    if (expected !== undefined && stretch.length !== expected)
      throw new ModelFileError(`${name}: expected ${expected} bytes, got ${stretch.length}`);
    if (offset + stretch.length > size)
      throw new ModelFileError(
        `${name}: ends at byte ${offset + stretch.length} of ${location}, which has ${size}`,
      );
    if (stretch.length > 0) found.push({ constant, message, dtype, stretch });
  }
  found.sort(({ stretch: a }, { stretch: b }) =>
    a.location === b.location ? a.offset - b.offset : a.location < b.location ? -1 : 1,
  );
  const usable = new Map<Uint8Array, { stretch: Stretch; sharers: OnnxConstant[] }>();
  for (let i = 0; i < found.length; ) {
    const { location, offset, length } = found[i].stretch;
    let end = offset + length;
    let isShared = false;
    let next = i + 1;
    for (; next < found.length; next++) {
      const { stretch, dtype } = found[next];
      if (stretch.location !== location || stretch.offset >= end) break;
      isShared ||= stretch.offset !== offset || stretch.length !== length || dtype !== found[i].dtype;
      end = Math.max(end, stretch.offset + stretch.length);
    }
    const { message, dtype, stretch } = found[i];
    if (!isShared && dtype !== undefined && dtype !== "string") {
      const sharers = found.slice(i + 1, next).map(({ constant }) => constant);
      usable.set(message, { stretch, sharers });
    }
    i = next;
  }
  return usable;
}
