/** Small models for the tests, made by the tools that they belong to. */

import type { io } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { uniform } from "../../../../test/random.js";
import "@tensorflow/tfjs-backend-cpu";
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as layers from "@tensorflow/tfjs-layers";
import protobuf from "protobufjs/light.js";
import type { FilePiece } from "../../src/formats/files.js";

export type Files = Record<string, Uint8Array>;

/** Seeded normal numbers (Box and Muller). */
export function normals(length: number, seed: number, scale = 1): Float32Array {
  const next = uniform(seed);
  const uniformAboveZero = () => (2 ** 32 * next() + 1) / (2 ** 32 + 1);
  return Float32Array.from(
    { length },
    () => scale * Math.sqrt(-2 * Math.log(uniformAboveZero())) * Math.cos(2 * Math.PI * uniformAboveZero()),
  );
}

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** The pieces that a writer gives, as whole files. */
export async function collect(pieces: AsyncIterable<FilePiece>): Promise<Files> {
  const parts: Record<string, Uint8Array[]> = {};
  for await (const { file, bytes } of pieces) (parts[file] ??= []).push(bytes.slice());
  return Object.fromEntries(
    Object.entries(parts).map(([file, list]) => [file, new Uint8Array(Buffer.concat(list))]),
  );
}

/** A handler of TF.js that loads from files in memory, as its own HTTP handler does from a server. */
export function filesHandler(files: Files): io.IOHandler {
  return {
    load: async () => {
      const { weightsManifest, ...json } = JSON.parse(new TextDecoder().decode(files["model.json"]));
      return {
        ...json,
        weightSpecs: weightsManifest.flatMap((group: { weights: unknown[] }) => group.weights),
        weightData: weightsManifest.flatMap((group: { paths: string[] }) =>
          group.paths.map((path) => files[path].slice().buffer),
        ),
      };
    },
  };
}

/** Files of what TF.js saves, the weights cut into shards of 1,000 bytes. */
export function artifactFiles({ weightData, weightSpecs, modelTopology, ...rest }: io.ModelArtifacts): Files {
  const data = new Uint8Array(weightData as ArrayBuffer);
  const files: Files = {};
  const paths: string[] = [];
  for (let from = 0; from < data.length; from += 1000) {
    paths.push(`group1-shard${paths.length + 1}.bin`);
    files[paths.at(-1)!] = data.slice(from, from + 1000);
  }
  const json = { modelTopology, ...rest, weightsManifest: [{ paths, weights: weightSpecs }] };
  files["model.json"] = new TextEncoder().encode(JSON.stringify(json));
  return files;
}

/** A convolutional layers model with every kind of kernel, as TF.js saves it. */
export async function layersModelFiles(): Promise<Files> {
  const model = layers.sequential({
    layers: [
      layers.layers.conv2d({
        inputShape: [12, 12, 3],
        filters: 8,
        kernelSize: 3,
        name: "first",
        useBias: false,
      }),
      layers.layers.batchNormalization({ name: "norm" }),
      layers.layers.depthwiseConv2d({ kernelSize: 3, activation: "relu", name: "depthwise" }),
      layers.layers.conv2dTranspose({ filters: 6, kernelSize: 3, activation: "relu", name: "up" }),
      layers.layers.globalAveragePooling2d({ name: "pool" }),
      layers.layers.dense({ units: 5, activation: "softmax", name: "classes" }),
    ],
  });
  withNormalWeights(model);
  const files = await savedFiles(model);
  model.dispose();
  return files;
}

/** The model itself, its weights seeded normal numbers; variances above 0. */
export function withNormalWeights(model: layers.LayersModel): layers.LayersModel {
  model.setWeights(
    model.weights.map((weight, i) => {
      const shape = weight.shape as number[];
      const values = normals(
        shape.reduce((a, b) => a * b, 1),
        i + 1,
        0.3,
      );
      return tf.tensor(
        weight.originalName.endsWith("variance") ? values.map((v) => v * v + 0.5) : values,
        shape,
      );
    }),
  );
  return model;
}

/** What TF.js saves of a model. */
export async function savedFiles(model: layers.LayersModel): Promise<Files> {
  let files: Files = {};
  await model.save({
    save: async (artifacts) => {
      files = artifactFiles(artifacts);
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
    },
  });
  return files;
}

/** What a layers model makes of the same picture every time. */
export async function runLayers(handler: io.IOHandler | Files): Promise<Float32Array> {
  const model = await layers.loadLayersModel(
    "load" in handler ? (handler as io.IOHandler) : filesHandler(handler as Files),
  );
  const [, ...shape] = model.inputs[0].shape as number[];
  const x = tf.tensor(normals(2 * shape.reduce((a, b) => a * b, 1), 99), [2, ...shape]);
  const y = model.predict(x) as tf.Tensor;
  const values = (await y.data()) as Float32Array;
  tf.dispose([x, y]);
  model.dispose();
  return values;
}

/** A graph model: convolution, depthwise convolution, mean, a matrix stored transposed. */
export function graphModelFiles(): Files {
  const weights = [
    { name: "kernel", shape: [3, 3, 2, 4], dtype: "float32" as const },
    { name: "depthwise", shape: [3, 3, 4, 1], dtype: "float32" as const },
    { name: "matrix", shape: [5, 4], dtype: "float32" as const },
    { name: "axes", shape: [2], dtype: "int32" as const },
  ];
  const data = [normals(72, 1, 0.3), normals(36, 2, 0.3), normals(20, 3, 0.3), Int32Array.of(1, 2)];
  const type = { type: "DT_FLOAT" };
  const constants = weights.map(({ name, shape, dtype }) => ({
    name,
    op: "Const",
    attr: {
      dtype: { type: dtype === "int32" ? "DT_INT32" : "DT_FLOAT" },
      value: { tensor: { tensorShape: { dim: shape.map((size) => ({ size: String(size) })) } } },
    },
  }));
  const window = {
    strides: { list: { i: ["1", "1", "1", "1"] } },
    dilations: { list: { i: ["1", "1", "1", "1"] } },
    padding: { s: "U0FNRQ==" },
    data_format: { s: "TkhXQw==" },
    T: type,
  };
  const modelTopology = {
    node: [
      {
        name: "x",
        op: "Placeholder",
        attr: {
          dtype: type,
          shape: { shape: { dim: [{ size: "-1" }, { size: "6" }, { size: "6" }, { size: "2" }] } },
        },
      },
      ...constants,
      { name: "conv", op: "Conv2D", input: ["x", "kernel"], attr: window },
      { name: "conv2", op: "DepthwiseConv2dNative", input: ["conv", "depthwise"], attr: window },
      { name: "pool", op: "Mean", input: ["conv2", "axes"], attr: { keep_dims: { b: false }, T: type } },
      {
        name: "y",
        op: "MatMul",
        input: ["pool", "matrix"],
        attr: { transpose_a: { b: false }, transpose_b: { b: true }, T: type },
      },
    ],
    library: {},
    versions: { producer: 898 },
  };
  const weightData = new Uint8Array(Buffer.concat(data.map(bytesOf))).buffer;
  return artifactFiles({
    format: "graph-model",
    generatedBy: "test",
    modelTopology,
    weightSpecs: weights,
    weightData,
  });
}

/** What a graph model makes of the same input every time. */
export async function runGraph(handler: io.IOHandler | Files): Promise<Float32Array> {
  const model = await loadGraphModel(
    "load" in handler ? (handler as io.IOHandler) : filesHandler(handler as Files),
  );
  const x = tf.tensor(normals(2 * 72, 99), [2, 6, 6, 2]);
  const y = model.predict(x) as tf.Tensor;
  const values = (await y.data()) as Float32Array;
  tf.dispose([x, y]);
  model.dispose();
  return values;
}

/** The fields of ONNX that the models here need, described independently of the reader. */
const onnx = onnxRoot();
function onnxRoot(): protobuf.Root {
  const field = (id: number, type: string, rule?: string) => ({ id, type, ...(rule ? { rule } : {}) });
  return protobuf.Root.fromJSON({
    nested: {
      Model: {
        fields: {
          irVersion: field(1, "int64"),
          producer: field(2, "string"),
          graph: field(7, "Graph"),
          opset: field(8, "Opset", "repeated"),
          metadata: field(14, "Entry", "repeated"),
          training: field(20, "Training", "repeated"),
          function: field(25, "Function", "repeated"),
        },
      },
      Entry: { fields: { key: field(1, "string"), value: field(2, "string") } },
      Opset: { fields: { domain: field(1, "string"), version: field(2, "int64") } },
      Training: { fields: { initialization: field(1, "Graph"), algorithm: field(2, "Graph") } },
      Function: {
        fields: {
          name: field(1, "string"),
          input: field(4, "string", "repeated"),
          output: field(5, "string", "repeated"),
          node: field(7, "Node", "repeated"),
          opset: field(9, "Opset", "repeated"),
          domain: field(10, "string"),
        },
      },
      Sparse: {
        fields: {
          values: field(1, "Tensor"),
          indices: field(2, "Tensor"),
          dims: { id: 3, type: "int64", rule: "repeated", options: { packed: false } },
        },
      },
      Graph: {
        fields: {
          node: field(1, "Node", "repeated"),
          name: field(2, "string"),
          initializer: field(5, "Tensor", "repeated"),
          sparse: field(15, "Sparse", "repeated"),
          input: field(11, "Value", "repeated"),
          output: field(12, "Value", "repeated"),
        },
      },
      Node: {
        fields: {
          input: field(1, "string", "repeated"),
          output: field(2, "string", "repeated"),
          name: field(3, "string"),
          opType: field(4, "string"),
          attribute: field(5, "Attribute", "repeated"),
          domain: field(7, "string"),
        },
      },
      Attribute: {
        fields: {
          name: field(1, "string"),
          i: field(3, "int64"),
          t: field(5, "Tensor"),
          g: field(6, "Graph"),
          floats: { id: 7, type: "float", rule: "repeated", options: { packed: false } },
          sparse: field(22, "Sparse"),
          ints: { id: 8, type: "int64", rule: "repeated", options: { packed: false } },
          type: field(20, "int32"),
        },
      },
      Tensor: {
        fields: {
          dims: { id: 1, type: "int64", rule: "repeated", options: { packed: false } },
          dataType: field(2, "int32"),
          floatData: { id: 4, type: "float", rule: "repeated", options: { packed: true } },
          doubleData: { id: 10, type: "double", rule: "repeated", options: { packed: false } },
          strings: field(6, "bytes", "repeated"),
          int64Data: { id: 7, type: "int64", rule: "repeated", options: { packed: true } },
          int32Data: { id: 5, type: "int32", rule: "repeated", options: { packed: true } },
          name: field(8, "string"),
          rawData: field(9, "bytes"),
          doc: field(12, "string"),
          external: field(13, "Entry", "repeated"),
          location: field(14, "int32"),
        },
      },
      Value: { fields: { name: field(1, "string"), type: field(2, "Type") } },
      Type: { fields: { tensor: field(1, "TensorType") } },
      TensorType: { fields: { elementType: field(1, "int32"), shape: field(2, "Shape") } },
      Shape: { fields: { dim: field(1, "Dim", "repeated") } },
      Dim: { fields: { value: field(1, "int64"), param: field(2, "string") } },
    },
  });
}

/** Any message of the description above, for tests that write their own. */
export function onnxMessage(type: string, value: object): Uint8Array {
  return new Uint8Array(onnx.lookupType(type).encode(onnx.lookupType(type).fromObject(value)).finish());
}

/** A convolution (raw bytes), a Gemm with transB (typed floats), a reshape by an int64 shape; metadata of its own. */
export function onnxModel({ external = false } = {}): Files {
  const value = (name: string, dims: number[]) => ({
    name,
    type: { tensor: { elementType: 1, shape: { dim: dims.map((size) => ({ value: size })) } } },
  });
  const kernel = bytesOf(normals(8 * 3 * 9, 1, 0.3));
  const files: Files = {};
  if (external) files["model.onnx.data"] = new Uint8Array(Buffer.concat([new Uint8Array(16), kernel]));
  files["model.onnx"] = onnxMessage("Model", {
    irVersion: 8,
    producer: "test",
    opset: [{ domain: "", version: 13 }],
    metadata: [{ key: "author", value: "somebody" }],
    graph: {
      name: "net",
      node: [
        {
          input: ["x", "kernel", "bias"],
          output: ["c"],
          name: "conv",
          opType: "Conv",
          attribute: [{ name: "kernel_shape", ints: [3, 3], type: 7 }],
        },
        { input: ["c"], output: ["r"], name: "relu", opType: "Relu" },
        { input: ["r", "shape"], output: ["f"], name: "flat", opType: "Reshape" },
        {
          input: ["f", "matrix"],
          output: ["y"],
          name: "fc",
          opType: "Gemm",
          attribute: [{ name: "transB", i: 1, type: 2 }],
        },
      ],
      initializer: [
        {
          dims: [8, 3, 3, 3],
          dataType: 1,
          name: "kernel",
          doc: "the first",
          ...(external
            ? {
                location: 1,
                external: [
                  { key: "location", value: "model.onnx.data" },
                  { key: "offset", value: "16" },
                  { key: "length", value: String(kernel.length) },
                ],
              }
            : { rawData: kernel }),
        },
        { dims: [8], dataType: 1, name: "bias", floatData: [...normals(8, 2)] },
        { dims: [2], dataType: 7, name: "shape", rawData: bytesOf(BigInt64Array.of(1n, 128n)) },
        { dims: [10, 128], dataType: 1, name: "matrix", floatData: [...normals(1280, 3, 0.1)] },
      ],
      input: [value("x", [1, 3, 6, 6])],
      output: [value("y", [1, 10])],
    },
  });
  return files;
}
