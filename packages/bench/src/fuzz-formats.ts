/** What the fuzzer tries of models in other people's formats: an altered file is refused, or it is a model that can be written again. */
import { uniform as random } from "@bitdiet/zoo/data/random";
import {
  encodeModel,
  type FilePiece,
  memoryFiles,
  openBitdiet,
  openSource,
  readModel,
  writeModel,
} from "bitdiet";
import type { Case, Subject } from "./fuzz.js";
import { altered, alteredJson } from "./fuzz-mutate.js";

const text = (value: unknown) =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const joined = (pieces: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(pieces));

/** Weights that files share. */
const VALUES = new Uint8Array(Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)).buffer);

function safetensors(header: Uint8Array): Uint8Array {
  const length = new Uint8Array(BigUint64Array.of(BigInt(header.length)).buffer);
  return joined([length, header, VALUES]);
}

const SAFETENSORS = text({
  __metadata__: { format: "pt" },
  "a.weight": { dtype: "F32", shape: [4, 5], data_offsets: [0, 80] },
  "a.bias": { dtype: "F16", shape: [8], data_offsets: [80, 96] },
});

const GRAPH = text({
  format: "graph-model",
  modelTopology: {
    node: [
      { name: "x", op: "Placeholder", attr: { dtype: { type: "DT_FLOAT" } } },
      { name: "w", op: "Const", attr: { dtype: { type: "DT_FLOAT" } } },
      { name: "y", op: "MatMul", input: ["x", "w"], attr: { T: { type: "DT_FLOAT" } } },
      { name: "s", op: "Squeeze", input: ["q"], attr: { squeeze_dims: { list: { i: ["0", 1] } } } },
      { name: "r", op: "Reshape", input: ["q", "shape"] },
      { name: "t", op: "Transpose", input: ["w", "shape"] },
      { name: "e", op: "Einsum", input: ["x", "w"], attr: { equation: { s: "YWIsYmMtPmFj" } } },
      { name: "p", op: "Split", input: ["axis", "q"], attr: { num_split: { i: "2" } } },
      { name: "c", op: "Conv2D", input: ["x", "w:0"], attr: { data_format: { s: "TkhXQw==" } } },
      { name: "f", op: "PartitionedCall", input: ["q"], attr: { f: { func: { name: "g" } } } },
    ],
    library: {
      function: [
        {
          signature: { name: "g", inputArg: [{ name: "a", type: "DT_FLOAT" }], outputArg: [{ name: "b" }] },
          nodeDef: [{ name: "h", op: "Identity", input: ["a"] }],
          ret: { b: "h:output:0" },
        },
      ],
    },
  },
  weightsManifest: [
    {
      paths: ["w.bin"],
      weights: [
        { name: "w", shape: [4, 5], dtype: "float32" },
        { name: "shape", shape: [2], dtype: "int32" },
        { name: "q", shape: [8], dtype: "float32", quantization: { dtype: "uint8", min: -1, scale: 0.1 } },
      ],
    },
  ],
});

/** Numbers up to 16,383 in one or two bytes. */
const varint = (n: number) => (n < 128 ? [n] : [(n & 127) | 128, n >> 7]);

/** A protobuf message of numbers, texts and messages by field. */
function message(...fields: [number, number | string | Uint8Array][]): Uint8Array {
  return joined(
    fields.map(([field, value]) => {
      if (typeof value === "number") return Uint8Array.from([...varint(8 * field), ...varint(value)]);
      const bytes = typeof value === "string" ? text(value) : value;
      return joined([Uint8Array.from([...varint(8 * field + 2), ...varint(bytes.length)]), bytes]);
    }),
  );
}

/** y = x · w + b in ONNX: one initializer with its bytes inside, one with them in a file beside it, one in a Constant node. */
function onnx(): Uint8Array {
  const w = message([1, 4], [1, 5], [2, 1], [8, "w"], [9, VALUES.subarray(0, 80)]);
  const location = (key: string, value: string) =>
    [13, message([1, key], [2, value])] as [number, Uint8Array];
  const b = message(
    [1, 4],
    [2, 1],
    [8, "b"],
    location("location", "w.bin"),
    location("length", "16"),
    [14, 1],
  );
  const c = message([1, 2], [2, 1], [9, VALUES.subarray(0, 8)]);
  const node = (op: string, inputs: string[], output: string, ...more: [number, Uint8Array][]) =>
    message(...inputs.map((name) => [1, name] as [number, string]), [2, output], [4, op], ...more);
  const constant = node("Constant", [], "c", [5, message([1, "value"], [5, c], [20, 4])]);
  const graph = message(
    [1, constant],
    [1, node("MatMul", ["x", "w"], "xw")],
    [1, node("Add", ["xw", "b"], "y")],
    [2, "g"],
    [5, w],
    [5, b],
  );
  return message([1, 8], [7, graph], [8, message([2, 17])]);
}

/** Reads a model, writes it, and packs it: what the command does with it. */
async function passed(files: Record<string, Uint8Array>, name: string): Promise<void> {
  const model = await readModel(memoryFiles(files), name);
  const tensors = [];
  for (const { name, dtype, shape, bytes } of model.tensors)
    tensors.push({ name, dtype, shape: [...shape], bytes: await bytes() });
  const metadata = Object.entries({ ...model.metadata, format: text(model.format) });
  const file = encodeModel({ tensors, metadata: metadata.map(([name, bytes]) => ({ name, bytes })) });
  const decoded = (await openBitdiet(await openSource(file))).model;
  const pieces: FilePiece[] = [];
  for await (const piece of writeModel(decoded)) pieces.push(piece);
}

type Alter = (bytes: Uint8Array, next: () => number) => Uint8Array;

/** @param whole what is decoded of altered bytes */
const format = (
  name: string,
  original: Uint8Array,
  alter: Alter,
  decode: (bytes: Uint8Array) => Promise<void>,
): Subject => ({
  name,
  decode,
  cases(seed) {
    const next = random(seed);
    return Array.from({ length: 50 }, (): Case => {
      const bytes = alter(original, next);
      return {
        bytes,
        decode: async () => {
          await decode(bytes);
          return "other" as const;
        },
      };
    });
  },
});

const anyhow: Alter = (bytes, next) => altered(bytes, [bytes], next);
const json: Alter = (bytes, next) => (next() < 0.7 ? alteredJson(bytes, next) : anyhow(bytes, next));

export const formats: Subject[] = [
  format("safetensors, altered", SAFETENSORS, json, (header) =>
    passed({ "m.safetensors": safetensors(header) }, "m.safetensors"),
  ),
  format("TF.js, altered", GRAPH, json, (bytes) =>
    passed({ "model.json": bytes, "w.bin": VALUES }, "model.json"),
  ),
  format("ONNX, altered", onnx(), anyhow, (bytes) => passed({ "m.onnx": bytes, "w.bin": VALUES }, "m.onnx")),
];

/** What the altered models are made of. */
export const originals: readonly [Record<string, Uint8Array>, string][] = [
  [{ "m.safetensors": safetensors(SAFETENSORS) }, "m.safetensors"],
  [{ "model.json": GRAPH, "w.bin": VALUES }, "model.json"],
  [{ "m.onnx": onnx(), "w.bin": VALUES }, "m.onnx"],
];
