import { decodeWeights } from "@tensorflow/tfjs-core/dist/io/io_utils.js";
import { expect, test } from "vitest";
import { memoryFiles } from "../../src/formats/files.js";
import { readTfjs, writeTfjs } from "../../src/formats/tfjs.js";
import { layersUses } from "../../src/formats/tfjs-layers.js";
import { channelAxis, ModelFileError } from "../../src/model.js";
import {
  bytesOf,
  collect,
  type Files,
  graphModelFiles,
  layersModelFiles,
  normals,
  runGraph,
  runLayers,
} from "./small-models.js";

const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

test("a layers model that TF.js saved predicts the same after reading and writing", async () => {
  const files = await layersModelFiles();
  const model = await readTfjs(memoryFiles(files), "model.json");
  expect(model.format).toBe("tfjs-layers");
  expect(Object.fromEntries(model.tensors.map((tensor) => [tensor.name, channelAxis(tensor)]))).toEqual({
    "first/kernel": 3,
    "norm/gamma": undefined,
    "norm/beta": undefined,
    "norm/moving_mean": undefined,
    "norm/moving_variance": undefined,
    "depthwise/depthwise_kernel": 2,
    "depthwise/bias": undefined,
    "up/kernel": 2,
    "up/bias": undefined,
    "classes/kernel": 1,
    "classes/bias": undefined,
  });
  const before = await runLayers(files);
  expect(await runLayers(await collect(writeTfjs(model)))).toEqual(before);
});

test("a graph model predicts the same after reading and writing", async () => {
  const files = graphModelFiles();
  const model = await readTfjs(memoryFiles(files), "model.json");
  expect(model.format).toBe("tfjs-graph");
  expect(model.tensors.map((tensor) => [tensor.name, channelAxis(tensor)])).toEqual([
    ["kernel", 3],
    ["depthwise", 2],
    ["matrix", 0],
    ["axes", undefined],
  ]);
  expect(await runGraph(await collect(writeTfjs(model)))).toEqual(await runGraph(files));
});

test("weights in uint8, uint16 and float16 are the very numbers that TF.js makes of them", async () => {
  const weights = [
    {
      name: "a",
      shape: [40, 2],
      dtype: "float32",
      quantization: { dtype: "uint8", scale: 0.0123456789, min: -1.2345678 },
    },
    {
      name: "b",
      shape: [30],
      dtype: "float32",
      quantization: { dtype: "uint16", scale: 3e-5, min: -0.7, original_dtype: "float32" },
    },
    { name: "c", shape: [25], dtype: "float32", quantization: { dtype: "float16" } },
    { name: "d", shape: [9], dtype: "int32", quantization: { dtype: "uint8", scale: 1.7, min: -3 } },
    { name: "e", shape: [], dtype: "float32" },
    { name: "f", shape: [3], dtype: "bool" },
    { name: "g", shape: [2], dtype: "string" },
  ] as const;
  const text = new Uint8Array(Buffer.from("\x03\0\0\0abc\0\0\0\0"));
  const data = new Uint8Array(
    Buffer.concat([
      Uint8Array.from({ length: 80 }, (_, i) => i * 3),
      bytesOf(Uint16Array.from({ length: 30 }, (_, i) => i * 2000)),
      bytesOf(Uint16Array.from({ length: 25 }, (_, i) => 0x3800 + i * 37)),
      Uint8Array.from({ length: 9 }, (_, i) => i * 11),
      bytesOf(normals(1, 1)),
      Uint8Array.of(0, 1, 1),
      text,
    ]),
  );
  const model = await readTfjs(
    memoryFiles({
      "model.json": json({ modelTopology: {}, weightsManifest: [{ paths: ["w", "v"], weights }] }),
      w: data.slice(0, 33),
      v: data.slice(33),
    }),
    "model.json",
  );
  const theirs = decodeWeights(data.buffer, weights as never);
  for (const { name, bytes, dtype } of model.tensors) {
    if (dtype === "string") expect(await bytes()).toEqual(text);
    else expect(await bytes()).toEqual(bytesOf(theirs[name].dataSync()));
  }
  expect(model.tensors.map(({ dtype }) => dtype)).toEqual([
    "float32",
    "float32",
    "float32",
    "int32",
    "float32",
    "bool",
    "string",
  ]);
  const again = await collect(writeTfjs(model));
  const rewritten = JSON.parse(Buffer.from(again["model.json"]).toString()).weightsManifest[0];
  const reread = decodeWeights(again["group1-shard1of1.bin"].slice().buffer, rewritten.weights);
  for (const { name } of weights) expect(reread[name].dataSync()).toEqual(theirs[name].dataSync());
});

test("weights beyond 4 MB are cut into shards that join again", async () => {
  const big = normals(1_200_000, 5);
  const weights = [
    { name: "a", shape: [1, 3], dtype: "float32" },
    { name: "big", shape: [1200, 1000], dtype: "float32" },
  ];
  const group = { paths: ["w"], weights };
  const bytes = new Uint8Array(Buffer.concat([new Uint8Array(12), bytesOf(big)]));
  const files: Files = { "model.json": json({ modelTopology: {}, weightsManifest: [group] }), w: bytes };
  const written = await collect(writeTfjs(await readTfjs(memoryFiles(files), "model.json")));
  const { paths } = JSON.parse(Buffer.from(written["model.json"]).toString()).weightsManifest[0];
  expect(paths).toEqual(["group1-shard1of2.bin", "group1-shard2of2.bin"]);
  expect(written[paths[0]].length).toBe(4 * 1024 * 1024);
  expect(Buffer.compare(Buffer.concat(paths.map((path: string) => written[path])), bytes)).toBe(0);
});

test("what an entry says beyond its tensor, such as the optimizer's group, is kept", async () => {
  const weights = [
    { name: "a", shape: [1], dtype: "float32" },
    { name: "a/m", shape: [1], dtype: "float32", group: "optimizer" },
  ];
  const files = {
    "model.json": json({ modelTopology: {}, weightsManifest: [{ paths: ["w"], weights }] }),
    w: new Uint8Array(8),
  };
  const written = await collect(writeTfjs(await readTfjs(memoryFiles(files), "model.json")));
  expect(JSON.parse(Buffer.from(written["model.json"]).toString()).weightsManifest[0].weights).toEqual(
    weights,
  );
});

const manifest = (weight: object, bytes: number) => ({
  "model.json": json({ modelTopology: {}, weightsManifest: [{ paths: ["w"], weights: [weight] }] }),
  w: new Uint8Array(bytes),
});
const entry = { name: "a", shape: [2], dtype: "float32" };
test.each<[string, Files, string]>([
  ["no JSON", { "model.json": Uint8Array.of(1) }, "model.json: not JSON"],
  ["no topology", { "model.json": json({}) }, "modelTopology: expected an object, got nothing"],
  ["no manifest", { "model.json": json({ modelTopology: {} }) }, "weightsManifest: expected an array"],
  ["a missing shard", { "model.json": manifest(entry, 8)["model.json"] }, "w: no such file"],
  ["a short shard", manifest(entry, 7), "a ends at byte 8, but its shards have 7"],
  ["a long shard", manifest(entry, 9), "take 8 bytes, but its shards have 9"],
  ["an unknown type", manifest({ ...entry, dtype: "float3" }, 8), "a: unknown dtype float3"],
  [
    "an unknown quantization",
    manifest({ ...entry, quantization: { dtype: "int4" } }, 8),
    "unknown quantization",
  ],
  ["a shape that is none", manifest({ ...entry, shape: [1.5] }, 8), "expected whole numbers, got 1.5"],
])("%s is refused with a message that says so", async (_, files, message) => {
  const reading = readTfjs(memoryFiles(files), "model.json");
  await expect(reading).rejects.toThrow(ModelFileError);
  await expect(reading).rejects.toThrow(message);
});

/** A graph model of nodes and weights, nothing of which TF.js has to run. */
function graphFiles(
  nodes: object[],
  weights: [name: string, shape: number[], values?: Float32Array | Int32Array][],
): Files {
  const data = weights.map(
    ([, shape, values], i) =>
      values ??
      normals(
        shape.reduce((a, b) => a * b, 1),
        i + 1,
      ),
  );
  const constants = weights.map(([name]) => ({ name, op: "Const" }));
  const manifest = weights.map(([name, shape], i) => ({
    name,
    shape,
    dtype: data[i] instanceof Int32Array ? "int32" : "float32",
  }));
  return {
    "model.json": json({
      format: "graph-model",
      modelTopology: { node: [{ name: "x", op: "Placeholder" }, ...constants, ...nodes], library: {} },
      weightsManifest: [{ paths: ["w.bin"], weights: manifest }],
    }),
    "w.bin": new Uint8Array(Buffer.concat(data.map(bytesOf))),
  };
}

async function usesOf(files: Files) {
  const { tensors } = await readTfjs(memoryFiles(files), "model.json");
  return Object.fromEntries(tensors.map(({ name, use }) => [name, use]));
}

test("weights of a graph are told from tables, grids and filters by the operations that take them", async () => {
  const node = (name: string, op: string, ...input: string[]) => ({ name, op, input });
  const cast = (type: string) => ({ attr: { DstT: { type } } });
  const uses = await usesOf(
    graphFiles(
      [
        node("frames", "Conv2D", "x", "window"),
        node("square", "Square", "frames"),
        node("bands", "MatMul", "square", "mel"),
        node("above", "Maximum", "bands", "floor"),
        node("log", "Log", "above"),
        node("transposed", "Transpose", "matrix", "order", "^log"),
        node("reshaped", "Reshape", "transposed", "shape"),
        node("product", "MatMul", "log", "reshaped"),
        node("sum", "AddV2", "product", "bias"),
        node("placed", "AddV2", "sum", "grid"),
        node("row", "GatherV2", "table", "x", "zero"),
        { ...node("index", "Cast", "row"), ...cast("DT_INT32") },
        node("word", "GatherV2", "words", "x", "zero"),
        { ...node("cast", "Cast", "word"), ...cast("DT_FLOAT") },
        node("deep", "DepthwiseConv2dNative", "placed", "depthwise"),
        node("cosine", "MatMul", "deep", "cosines"),
        node("identity", "MatMul", "cosine", "ones"),
      ],
      [
        ["window", [1, 64, 1, 16]],
        ["mel", [16, 8]],
        ["floor", []],
        ["matrix", [20, 8]],
        ["order", [2], Int32Array.of(1, 0)],
        ["shape", [2], Int32Array.of(8, -1)],
        ["bias", [20]],
        ["grid", [9, 20]],
        ["table", [30, 4]],
        ["words", [30, 4]],
        ["zero", [], Int32Array.of(0)],
        ["depthwise", [3, 3, 20, 1]],
        [
          "cosines",
          [32, 40],
          Float32Array.from({ length: 1280 }, (_, i) => Math.cos(0.1 * (i % 40) * Math.floor(i / 40))),
        ],
        ["ones", [4, 4], Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 1 : 0))],
      ],
    ),
  );
  expect(Object.fromEntries(Object.entries(uses).map(([name, { kind }]) => [name, kind]))).toEqual({
    window: "exact",
    mel: "exact",
    floor: "exact",
    matrix: "weight",
    order: "exact",
    shape: "exact",
    bias: "vector",
    grid: "exact",
    table: "exact",
    words: "embedding",
    zero: "exact",
    depthwise: "depthwise",
    cosines: "exact",
    ones: "exact",
  });
  // The columns of the product are rows of what was stored.
  expect(uses["matrix"]).toEqual({ kind: "weight", channelAxis: 0, reason: "matrix of MatMul product" });
  expect(uses["window"].reason).toBe("filter of a signal, kernel of Conv2D frames");
});

test("weights that a graph hands to its functions are found there", async () => {
  const files = graphFiles(
    [
      {
        name: "loop",
        op: "StatelessWhile",
        input: ["x", "w"],
        attr: { body: { func: { name: "body" } }, cond: { func: { name: "cond" } } },
      },
    ],
    [["w", [8, 8]]],
  );
  const model = JSON.parse(Buffer.from(files["model.json"]).toString());
  model.modelTopology.library.function = [
    {
      signature: {
        name: "body",
        inputArg: [{ name: "a" }, { name: "b" }],
        outputArg: [{ name: "c" }, { name: "d" }],
      },
      nodeDef: [{ name: "product", op: "MatMul", input: ["a", "b"] }],
      ret: { c: "product:product:0", d: "b" },
    },
  ];
  const uses = await usesOf({ ...files, "model.json": json(model) });
  expect(uses["w"]).toEqual({ kind: "weight", channelAxis: 1, reason: "matrix of MatMul product" });
});

test("a manifest without a network, as older programs have, is read and written", async () => {
  const values = normals(27 * 8, 3);
  const files = {
    "face-weights_manifest.json": json([
      { paths: ["face-shard1"], weights: [{ name: "conv0/kernel", shape: [3, 3, 3, 8], dtype: "float32" }] },
    ]),
    "face-shard1": bytesOf(values),
  };
  const model = await readTfjs(memoryFiles(files), "face-weights_manifest.json");
  expect(model.format).toBe("tfjs-weights");
  expect(model.tensors[0].use).toMatchObject({ kind: "weight", channelAxis: 3 });
  const written = await collect(writeTfjs(model));
  expect(Object.keys(written)[0]).toBe("face-weights_manifest.json");
  const again = await readTfjs(memoryFiles(written), "face-weights_manifest.json");
  expect(await again.tensors[0].bytes()).toEqual(bytesOf(values));
});

test("JSON nested so deep that nobody could write it again is refused by name", async () => {
  const deep = `{"modelTopology":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
  const files = memoryFiles({ "model.json": new TextEncoder().encode(deep) });
  await expect(readTfjs(files, "model.json")).rejects.toThrow(
    new ModelFileError("model.json: expected JSON of at most 1000 levels, got more"),
  );
});

test("weights of a wrapper are those of the layer in it", () => {
  const layer = (className: string, name: string) => ({ class_name: className, config: { name } });
  const wrapped = (className: string, name: string, inner: object) => ({
    class_name: className,
    config: { name, layer: inner },
  });
  const layers = [
    wrapped("TimeDistributed", "each", layer("Dense", "dense")),
    wrapped("Bidirectional", "both", layer("LSTM", "lstm")),
  ];
  const useOf = layersUses({ class_name: "Sequential", config: { layers } });
  expect(useOf("each/kernel", [3, 4])).toEqual({
    kind: "weight",
    channelAxis: 1,
    reason: "kernel of Dense each",
  });
  expect(useOf("both/forward_lstm/recurrent_kernel", [4, 16]).kind).toBe("weight");
});

test("layers tell which kernels see inputs side by side", () => {
  const classes = ["Conv2D", "Conv1D", "DepthwiseConv2D", "Conv2DTranspose", "Dense", "MultiHeadAttention"];
  const layers = classes.map((name) => ({ class_name: name, config: { name } }));
  const useOf = layersUses({ class_name: "Sequential", config: { layers } });
  const isConvolution = (name: string, shape: number[]) => "isConvolution" in useOf(name, shape);
  expect(isConvolution("Conv2D/kernel", [3, 3, 4, 8])).toBe(true);
  expect(isConvolution("Conv1D/kernel", [5, 4, 8])).toBe(true);
  expect(isConvolution("DepthwiseConv2D/depthwise_kernel", [3, 3, 8, 1])).toBe(true);
  expect(isConvolution("Conv2DTranspose/kernel", [3, 3, 8, 4])).toBe(false);
  expect(isConvolution("Dense/kernel", [4, 8])).toBe(false);
  expect(isConvolution("MultiHeadAttention/query/kernel", [64, 4, 16])).toBe(false);
});

test("nodes of any nonsense are refused or of no use, never a TypeError", async () => {
  const files = (node: unknown, library?: unknown) => ({
    "model.json": new TextEncoder().encode(
      JSON.stringify({
        format: "graph-model",
        modelTopology: { node: [{ name: "w", op: "Const" }, node], library },
        weightsManifest: [{ paths: ["w"], weights: [{ name: "w", shape: [2], dtype: "float32" }] }],
      }),
    ),
    w: new Uint8Array(8),
  });
  for (const op of ["__proto__", "constructor", "toString"]) {
    const [{ use }] = (await readTfjs(memoryFiles(files({ name: "y", op, input: ["w"] })), "model.json"))
      .tensors;
    expect(use).toMatchObject({ kind: "exact" });
  }
  const squeeze = { name: "y", op: "Squeeze", input: ["w"], attr: { squeeze_dims: { list: { i: "01" } } } };
  await readTfjs(memoryFiles(files(squeeze)), "model.json");
  for (const [node, library] of [
    [null],
    [3],
    [{ name: "y", op: "Add", input: [[]] }],
    [{ name: "y", op: 5 }],
    [{ name: "y", op: "Add", attr: "T" }],
    [{ name: "y", op: "Add" }, { function: [null] }],
    [{ name: "y", op: "Add" }, { function: [{ signature: { name: "f", inputArg: [7] } }] }],
  ])
    await expect(readTfjs(memoryFiles(files(node, library)), "model.json")).rejects.toThrow(ModelFileError);
});

test("weights of a manifest without a network are told by their names, as TF.js lays them out", () => {
  const useOf = layersUses({});
  expect(useOf("conv0/filters", [3, 3, 3, 16])).toMatchObject({
    kind: "weight",
    channelAxis: 3,
    isConvolution: true,
  });
  expect(useOf("conv1/depthwise_filter", [3, 3, 16, 1])).toMatchObject({ kind: "depthwise", channelAxis: 2 });
  expect(useOf("conv1/pointwise_filter", [1, 1, 16, 32])).toMatchObject({ kind: "weight", channelAxis: 3 });
  expect(useOf("fc/weights", [256, 10])).toMatchObject({ kind: "weight", channelAxis: 1 });
  expect(useOf("fc/bias", [10])).toMatchObject({ kind: "vector" });
  expect(useOf("Conv/anchors", [20, 4])).toMatchObject({ kind: "exact" });
});
