/** Small ONNX models that have their tensors in every place that the format has for them, or need some exactly as they are. */
import { bytesOf, type Files, normals, onnxMessage } from "./small-models.js";

export interface OnnxCase {
  files: Files;
  /** Kinds of use by the names of tensors. */
  uses: Record<string, string>;
  feeds: Record<string, { type: "float32" | "int64" | "bool"; data: number[]; dims: number[] }>;
  /** ONNX Runtime does not run it: a graph for training, say. */
  isNotRun?: boolean;
}

const FLOAT = 1;
const INT64 = 7;
const value = (name: string, dims: number[], elementType = FLOAT) => ({
  name,
  type: { tensor: { elementType, shape: { dim: dims.map((size) => ({ value: size })) } } },
});
const SIZE = 32;
let seed = 1;
const weights = () => normals(SIZE * SIZE, seed++, 0.1);
const matrix = (name: string, values = weights()) => ({
  dims: [SIZE, SIZE],
  dataType: FLOAT,
  name,
  rawData: bytesOf(values),
});
const matMul = (a: string, b: string, y: string) => ({ opType: "MatMul", input: [a, b], output: [y] });
const constant = (output: string, attribute: object) => ({
  opType: "Constant",
  output: [output],
  attribute: [attribute],
});
const tensorValue = (tensor: object) => ({ name: "value", type: 4, t: tensor });
const x = value("x", [4, SIZE]);
const y = value("y", [4, SIZE]);
const floats = (name: string, length = 4 * SIZE) => ({
  [name]: { type: "float32" as const, data: [...normals(length, 99)], dims: [4, length / 4] },
});

function model(graph: object, more: object = {}): Uint8Array {
  return onnxMessage("Model", {
    irVersion: 10,
    opset: [
      { domain: "", version: 17 },
      { domain: "own", version: 1 },
      { domain: "com.microsoft", version: 1 },
    ],
    graph: { name: "g", input: [x], output: [y], ...graph },
    ...more,
  });
}
const simple = (graph: object, uses: Record<string, string>, more?: object): OnnxCase => ({
  files: { "m.onnx": model(graph, more) },
  uses,
  feeds: floats("x"),
});

/** A tensor in a file beside the model. */
function beside(name: string, offset: number, more: object = {}) {
  const entries = { location: "w.bin", offset: String(offset), length: String(4 * SIZE * SIZE) };
  return {
    dims: [SIZE, SIZE],
    dataType: FLOAT,
    name,
    location: 1,
    external: Object.entries(entries).map(([key, text]) => ({ key, value: text })),
    ...more,
  };
}
/** Two matrices after and before some other bytes. */
const besideFile = () =>
  new Uint8Array(
    Buffer.concat([new Uint8Array(16).fill(7), bytesOf(weights()), new Uint8Array(64), bytesOf(weights())]),
  );
const SECOND = 16 + 4 * SIZE * SIZE + 64;

const branch = (name: string, initializer: object[], node: object[]) => ({
  name,
  type: 5,
  g: { name, initializer, node, output: [value(`${name}_y`, [4, SIZE])] },
});
const choice = { type: "bool" as const, data: [1], dims: [] };
const ifModel = (thenWeights: object, elseWeights: object, more: object = {}) =>
  model({
    input: [x, value("c", [], 9)],
    node: [
      {
        opType: "If",
        input: ["c"],
        output: ["z"],
        attribute: [
          branch("then_branch", [thenWeights], [matMul("x", "w", "then_branch_y")]),
          branch("else_branch", [elseWeights], [matMul("x", "w", "else_branch_y")]),
        ],
      },
      matMul("z", "last", "y"),
    ],
    initializer: [matrix("last")],
    ...more,
  });

/** A windowed Fourier transform, its power, and triangles over frequencies, as a mel spectrogram begins. */
function spectrogram(): OnnxCase {
  const bins = SIZE / 2;
  const window = (n: number) => Math.sin((Math.PI * n) / SIZE) ** 2;
  const waves = (f: (x: number) => number) =>
    bytesOf(
      Float32Array.from({ length: bins * SIZE }, (_, i) => {
        const [k, n] = [Math.floor(i / SIZE), i % SIZE];
        return window(n) * f((2 * Math.PI * k * n) / SIZE);
      }),
    );
  const filter = (name: string, f: (x: number) => number) => ({
    dims: [bins, 1, SIZE],
    dataType: FLOAT,
    name,
    rawData: waves(f),
  });
  const mel = Float32Array.from({ length: bins * 8 }, (_, i) =>
    Math.max(0, 1 - Math.abs(Math.floor(i / 8) - 2 * (i % 8)) / 1.7),
  );
  const conv = (kernel: string, to: string) => ({ opType: "Conv", input: ["x", kernel], output: [to] });
  const node = [
    conv("cosines", "re"),
    conv("sines", "im"),
    { opType: "Mul", input: ["re", "re"], output: ["re2"] },
    { opType: "Mul", input: ["im", "im"], output: ["im2"] },
    { opType: "Add", input: ["re2", "im2"], output: ["power"] },
    {
      opType: "Transpose",
      input: ["power"],
      output: ["frames"],
      attribute: [{ name: "perm", ints: [0, 2, 1], type: 7 }],
    },
    matMul("frames", "mel", "bands"),
    { opType: "Add", input: ["bands", "small"], output: ["above"] },
    { opType: "Log", input: ["above"], output: ["log"] },
    matMul("log", "learned", "y"),
  ];
  const initializer = [
    filter("cosines", Math.cos),
    filter("sines", Math.sin),
    { dims: [bins, 8], dataType: FLOAT, name: "mel", rawData: bytesOf(mel) },
    { dims: [1], dataType: FLOAT, name: "small", floatData: [1e-6] },
    { dims: [8, 32], dataType: FLOAT, name: "learned", rawData: bytesOf(normals(256, 77, 0.1)) },
  ];
  const input = [value("x", [4, 1, 64])];
  const output = [value("y", [4, 33, 32])];
  const files = { "m.onnx": model({ input, output, node, initializer }) };
  const feeds = { x: { type: "float32" as const, data: [...normals(256, 99)], dims: [4, 1, 64] } };
  return { files, feeds, uses: { cosines: "exact", sines: "exact", mel: "exact", learned: "weight" } };
}

const indices = { i: { type: "int64" as const, data: [0, 2, 3, 1], dims: [4] } };
const splitNames = Array.from({ length: 64 }, (_, i) => `o${i}`);

export const onnxCases: Record<string, OnnxCase> = {
  "a Constant node's value": simple(
    { node: [constant("w", tensorValue(matrix(""))), matMul("x", "w", "y")] },
    { w: "weight" },
  ),
  "a Constant node's list of floats, reshaped": simple(
    {
      node: [
        constant("list", { name: "value_floats", type: 6, floats: [...weights()] }),
        constant("shape", { name: "value_ints", type: 7, ints: [SIZE, SIZE] }),
        { opType: "Reshape", input: ["list", "shape"], output: ["w"] },
        matMul("x", "w", "y"),
      ],
    },
    { list: "weight" },
  ),
  "a sparse initializer": {
    ...simple(
      {
        node: [matMul("x", "w", "y")],
        sparse: [
          {
            values: { dims: [100], dataType: FLOAT, name: "w", rawData: bytesOf(normals(100, 50)) },
            indices: {
              dims: [100],
              dataType: INT64,
              rawData: bytesOf(BigInt64Array.from({ length: 100 }, (_, i) => BigInt(10 * i))),
            },
            dims: [SIZE, SIZE],
          },
        ],
      },
      { w: "weight", "w.indices": "exact" },
    ),
  },
  "branches of an If": {
    files: { "m.onnx": ifModel(matrix("w"), matrix("w")) },
    uses: { last: "weight", w: "weight", "w#2": "weight" },
    feeds: { ...floats("x"), c: choice },
  },
  "the body of a Loop": simple(
    {
      initializer: [
        { dims: [], dataType: INT64, name: "n", rawData: bytesOf(BigInt64Array.of(2n)) },
        { dims: [], dataType: 9, name: "t", rawData: Uint8Array.of(1) },
      ],
      node: [
        {
          opType: "Loop",
          input: ["n", "t", "x"],
          output: ["y"],
          attribute: [
            {
              name: "body",
              type: 5,
              g: {
                name: "body",
                input: [value("i", [], INT64), value("on", [], 9), value("before", [4, SIZE])],
                output: [value("still", [], 9), value("after", [4, SIZE])],
                node: [
                  { opType: "Identity", input: ["on"], output: ["still"] },
                  constant("w", tensorValue(matrix(""))),
                  matMul("before", "w", "after"),
                ],
              },
            },
          ],
        },
      ],
    },
    { w: "weight" },
  ),
  "a function, and what is handed to it": simple(
    {
      initializer: [matrix("given")],
      node: [{ opType: "Twice", domain: "own", input: ["x", "given"], output: ["y"] }],
    },
    { given: "weight", inner: "weight" },
    {
      function: [
        {
          name: "Twice",
          domain: "own",
          input: ["a", "b"],
          output: ["c"],
          opset: [{ domain: "", version: 17 }],
          node: [
            constant("inner", tensorValue(matrix(""))),
            matMul("a", "inner", "between"),
            matMul("between", "b", "c"),
          ],
        },
      ],
    },
  ),
  "a graph for training": {
    ...simple(
      { initializer: [matrix("w")], node: [matMul("x", "w", "y")] },
      { w: "weight", v: "weight" },
      {
        training: [
          {
            algorithm: {
              name: "step",
              initializer: [matrix("v")],
              node: [matMul("w", "v", "z")],
              output: [value("z", [SIZE, SIZE])],
            },
          },
        ],
      },
    ),
    isNotRun: true,
  },
  "transposed, reshaped and cast on the way": simple(
    {
      initializer: [
        { ...matrix("w"), dims: [(SIZE * SIZE) / 4, 4] },
        { dims: [2], dataType: INT64, name: "shape", rawData: bytesOf(BigInt64Array.of(BigInt(SIZE), -1n)) },
      ],
      node: [
        { opType: "Reshape", input: ["w", "shape"], output: ["w2"] },
        { opType: "Identity", input: ["w2"], output: ["w3"] },
        { opType: "Transpose", input: ["w3"], output: ["w4"] },
        { opType: "Cast", input: ["w4"], output: ["w5"], attribute: [{ name: "to", i: FLOAT, type: 2 }] },
        matMul("x", "w5", "y"),
      ],
    },
    { w: "weight" },
  ),
  "a file beside the model": {
    files: {
      "m.onnx": model({
        initializer: [beside("w", SECOND)],
        node: [matMul("x", "w", "y")],
      }),
      "w.bin": besideFile(),
    },
    uses: { w: "weight" },
    feeds: floats("x"),
  },
  "a file beside the model, for branches": {
    files: { "m.onnx": ifModel(beside("w", 16), beside("w", SECOND)), "w.bin": besideFile() },
    uses: { last: "weight", w: "weight", "w#2": "weight" },
    feeds: { ...floats("x"), c: choice },
  },
  "a file beside the model, for a Constant node": {
    files: {
      "m.onnx": model({ node: [constant("w", tensorValue(beside("", 16))), matMul("x", "w", "y")] }),
      "w.bin": besideFile(),
    },
    uses: { w: "weight" },
    feeds: floats("x"),
  },
  "two tensors with one stretch of a file": {
    files: {
      "m.onnx": model({
        initializer: [beside("w", 16), beside("v", 16)],
        node: [matMul("x", "w", "z"), matMul("z", "v", "y")],
      }),
      "w.bin": besideFile(),
    },
    uses: { w: "weight" },
    feeds: floats("x"),
  },
  "two tensors with one stretch of a file, one of which is added": {
    files: {
      "m.onnx": model({
        input: [value("x", [SIZE, SIZE])],
        output: [value("y", [SIZE, SIZE])],
        initializer: [beside("w", 16), beside("v", 16)],
        node: [matMul("x", "w", "z"), { opType: "Add", input: ["z", "v"], output: ["y"] }],
      }),
      "w.bin": besideFile(),
    },
    uses: { w: "exact" },
    feeds: { x: { type: "float32", data: [...normals(SIZE * SIZE, 99)], dims: [SIZE, SIZE] } },
  },
  "strings alone": {
    files: {
      "m.onnx": model({
        input: [value("i", [4], INT64)],
        output: [value("y", [4], 8)],
        initializer: [
          {
            dims: [100],
            dataType: 8,
            name: "k",
            strings: Array.from({ length: 100 }, (_, i) => Buffer.from(`w${i}`)),
          },
        ],
        node: [{ opType: "Gather", input: ["k", "i"], output: ["y"] }],
      }),
    },
    uses: {},
    feeds: indices,
  },
  "64 whole numbers that shape inference reads": {
    files: {
      "m.onnx": model({
        input: [value("x", [4, 64])],
        output: [value("y", [4, 64])],
        initializer: [
          { dims: [64], dataType: INT64, name: "ones", int64Data: new Array(64).fill(1) },
          { dims: [64, 64], dataType: FLOAT, name: "w", rawData: bytesOf(normals(4096, 31, 0.1)) },
        ],
        node: [
          matMul("x", "w", "m"),
          {
            opType: "Split",
            input: ["m", "ones"],
            output: splitNames,
            attribute: [{ name: "axis", i: 1, type: 2 }],
          },
          {
            opType: "Concat",
            input: [...splitNames].reverse(),
            output: ["y"],
            attribute: [{ name: "axis", i: 1, type: 2 }],
          },
        ],
      }),
    },
    uses: { ones: "exact", w: "weight" },
    feeds: floats("x", 256),
  },
  "a table of numbers that become indices": {
    files: {
      "m.onnx": model({
        input: [value("i", [4], INT64)],
        output: [value("y", [4, SIZE], INT64)],
        initializer: [
          matrix(
            "t",
            Float32Array.from({ length: SIZE * SIZE }, (_, i) => i / 2),
          ),
        ],
        node: [
          { opType: "Gather", input: ["t", "i"], output: ["r"] },
          { opType: "Cast", input: ["r"], output: ["y"], attribute: [{ name: "to", i: INT64, type: 2 }] },
        ],
      }),
    },
    uses: { t: "exact" },
    feeds: indices,
  },
  "an embedding": {
    files: {
      "m.onnx": model({
        input: [value("i", [4], INT64)],
        initializer: [matrix("t"), matrix("w")],
        node: [{ opType: "Gather", input: ["t", "i"], output: ["r"] }, matMul("r", "w", "y")],
      }),
    },
    uses: { t: "embedding", w: "weight" },
    feeds: indices,
  },
  "a grid that is added": {
    files: {
      "m.onnx": model({
        initializer: [
          { dims: [4, SIZE], dataType: FLOAT, name: "grid", rawData: bytesOf(normals(4 * SIZE, 8, 100)) },
          matrix("w"),
        ],
        node: [{ opType: "Add", input: ["x", "grid"], output: ["z"] }, matMul("z", "w", "y")],
      }),
    },
    uses: { grid: "exact", w: "weight" },
    feeds: floats("x"),
  },
  "scales of quantized weights": {
    files: {
      "m.onnx": model({
        input: [value("x", [4, 64])],
        output: [value("y", [4, SIZE])],
        initializer: [
          {
            dims: [SIZE, 2, 16],
            dataType: 2,
            name: "q",
            rawData: bytesOf(Uint8Array.from({ length: 1024 }, (_, i) => 31 * i)),
          },
          {
            dims: [SIZE, 2],
            dataType: FLOAT,
            name: "s",
            rawData: bytesOf(normals(64, 5, 0.01).map(Math.abs)),
          },
        ],
        node: [
          {
            opType: "MatMulNBits",
            domain: "com.microsoft",
            input: ["x", "q", "s"],
            output: ["y"],
            attribute: Object.entries({ K: 64, N: SIZE, bits: 4, block_size: 32 }).map(([name, i]) => ({
              name,
              i,
              type: 2,
            })),
          },
        ],
      }),
    },
    uses: { q: "integers", s: "exact" },
    feeds: floats("x", 256),
  },
  "a spectrogram's filters": spectrogram(),
};
