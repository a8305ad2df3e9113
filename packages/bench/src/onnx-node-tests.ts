/**
 * ONNX's own tests of its operators (Debian's `libonnx-testdata`; BITDIET_ONNX_TESTS names another folder): small models of every kind,
 * each with inputs of its own. A file that loses nothing must come back byte for byte; one of 8 bits must load and run.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import {
  BudgetError,
  compressModel,
  type Dtype,
  floatBytes,
  floatValues,
  type Model,
  memoryFiles,
  openBitdiet,
  openSource,
  readModel,
  writeModel,
} from "bitdiet";
import { findRunner } from "bitdiet/node";
import { divergence, type Feeds, type Runner, type RunTensor } from "bitdiet/run";
import { sourceOf } from "./report.js";

const FOLDER = process.env.BITDIET_ONNX_TESTS ?? "/usr/share/libonnx-testdata/data";

interface Counts {
  models: number;
  /** Byte for byte the same after a file that loses nothing. */
  same: number;
  /** With something to round to 8 bits; of these, those that the runtime runs as they came, and after. */
  rounded: number;
  runBefore: number;
  runAfter: number;
  /** Of those not rounded: how many run on their own inputs, and give the same bits. */
  exactRun: number;
  exactSame: number;
  /** The largest relative squared error, and its model. */
  worst: [number, string];
  failures: string[];
}

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const folders = existsSync(FOLDER) ? testFolders(FOLDER) : [];
  if (folders.length === 0) throw new Error(`No tests at ${FOLDER}: apt install libonnx-testdata.`);
  const counts: Counts = {
    ...{ models: 0, same: 0, rounded: 0, runBefore: 0, runAfter: 0, exactRun: 0, exactSame: 0 },
    worst: [0, ""],
    failures: [],
  };
  for (const folder of quick ? folders.filter((_, i) => i % 20 === 0) : folders) {
    try {
      await tryOne(folder, counts);
    } catch (error) {
      counts.failures.push(`${relative(FOLDER, folder)}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  console.log(counts);
  return { ...sourceOf("onnx-node-tests"), ...counts };
}

function testFolders(root: string): string[] {
  const all = readdirSync(root, { recursive: true }) as string[];
  return all.filter((path) => basename(path) === "model.onnx").map((path) => join(root, path, ".."));
}

async function tryOne(folder: string, counts: Counts): Promise<void> {
  counts.models++;
  const original = new Uint8Array(readFileSync(join(folder, "model.onnx")));
  const model = await readModel(memoryFiles({ "model.onnx": original }), "model.onnx");
  const lossless = await decoded((await compressModel(model, { maxBytes: Infinity })).bytes);
  const back = await filesOf(lossless);
  const isSame = back.size === 1 && Buffer.compare([...back.values()][0], original) === 0;
  if (isSame) counts.same++;
  else counts.failures.push(`${relative(FOLDER, folder)}: other bytes`);
  const rounded = await compressModel(model, { bits: 8 }).catch((error) => {
    if (error instanceof BudgetError) return undefined;
    throw error;
  });
  if (rounded) counts.rounded++;
  const before = await outputsOf(model, folder);
  if (!before) return;
  if (!rounded) {
    counts.exactRun++;
    const after = await outputsOf(lossless, folder);
    if (after && divergence([after], [before]).value === 0) counts.exactSame++;
    else counts.failures.push(`${relative(FOLDER, folder)}: other outputs`);
    return;
  }
  counts.runBefore++;
  const after = await outputsOf(await decoded(rounded.bytes), folder);
  if (!after) return void counts.failures.push(`${relative(FOLDER, folder)}: does not run at 8 bits`);
  counts.runAfter++;
  const { value } = divergence([after], [before]);
  if (value > counts.worst[0]) counts.worst = [value, relative(FOLDER, folder)];
}

async function decoded(bytes: Uint8Array): Promise<Model> {
  return (await openBitdiet(await openSource(bytes))).model;
}

async function filesOf(model: Model): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for await (const { file, bytes } of writeModel(model))
    files.set(file, Buffer.concat([files.get(file) ?? new Uint8Array(), bytes]));
  return files;
}

type RunData = RunTensor["data"];

/** Floats that come out for the test's own inputs; undefined where the runtime does not run the model as it is. */
async function outputsOf(model: Model, folder: string): Promise<Map<string, RunTensor> | undefined> {
  let runner: Runner | undefined;
  try {
    const found = await findRunner(model);
    if (typeof found === "string") return undefined;
    runner = found;
    const outputs = await runner.run(await inputsOf(runner, join(folder, "test_data_set_0")));
    return new Map([...outputs].map(([name, tensor]) => [name, asFloats(tensor)]));
  } catch {
    return undefined;
  } finally {
    await runner?.dispose();
  }
}

/** Outputs of whole numbers count, too. */
function asFloats(tensor: RunTensor): RunTensor {
  const { dtype, data } = tensor;
  if (dtype === "string") throw new Error("strings");
  if (dtype === "float16" || dtype === "bfloat16") {
    const bits = data as Uint16Array;
    const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
    return { ...tensor, dtype: "float32", data: floatValues(dtype, bytes) };
  }
  const values = Float32Array.from(data as ArrayLike<number | bigint>, Number);
  return { ...tensor, dtype: "float32", data: floatValues("float32", floatBytes("float32", values)) };
}

async function inputsOf(runner: Runner, folder: string): Promise<Feeds> {
  const feeds = new Map<string, RunTensor>();
  for (const [i, { name }] of runner.inputs.entries())
    feeds.set(name, tensorIn(new Uint8Array(readFileSync(join(folder, `input_${i}.pb`)))));
  return feeds;
}

/** TensorProto.DataType by its numbers, and the arrays that have such numbers. */
const TYPES: Readonly<Record<number, [Dtype, new (buffer: ArrayBuffer) => Exclude<RunData, string[]>]>> = {
  1: ["float32", Float32Array],
  2: ["uint8", Uint8Array],
  3: ["int8", Int8Array],
  4: ["uint16", Uint16Array],
  5: ["int16", Int16Array],
  6: ["int32", Int32Array],
  7: ["int64", BigInt64Array],
  9: ["bool", Uint8Array],
  10: ["float16", Uint16Array],
  11: ["float64", Float64Array],
  12: ["uint32", Uint32Array],
  13: ["uint64", BigUint64Array],
  16: ["bfloat16", Uint16Array],
};

/** A TensorProto with raw data: dims (1), data_type (2), raw_data (9). */
function tensorIn(message: Uint8Array): RunTensor {
  let at = 0;
  const number = () => {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      const byte = message[at++];
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  const shape: number[] = [];
  let type = 0;
  let raw = new Uint8Array();
  while (at < message.length) {
    const tag = number();
    const value = number();
    const end = at + (tag % 8 === 2 ? value : 0);
    if (tag === 8) shape.push(value);
    else if (tag === 10) while (at < end) shape.push(number());
    else if (tag === 16) type = value;
    else if (tag === 74) raw = message.slice(at, end);
    at = end;
  }
  if (!TYPES[type]) throw new Error(`a tensor of type ${type}`);
  const [dtype, Numbers] = TYPES[type];
  return { dtype, shape, data: new Numbers(raw.buffer) };
}
