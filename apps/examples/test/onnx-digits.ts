// The bundled network as ONNX models: one that answers, and one with several outputs that are no answers.
import { bytesOf, onnxMessage } from "../../../packages/bitdiet/test/formats/small-models.js";

/** A tensor of the bundled network. */
export interface Weight {
  name: string;
  shape: number[];
  values: Float32Array;
}

const FLOAT = 1;
const floats = (name: string, dims: (number | string)[]) => ({
  name,
  type: {
    tensor: {
      elementType: FLOAT,
      shape: { dim: dims.map((size) => (typeof size === "string" ? { param: size } : { value: size })) },
    },
  },
});

/** Kernels as ONNX has them, channels first: outputs, inputs, height, width. */
function channelsFirst({ name, shape, values }: Weight): Weight {
  if (shape.length !== 4) return { name, shape, values };
  const [height, width, inputs, outputs] = shape;
  const area = height * width;
  const moved = new Float32Array(values.length);
  for (let p = 0; p < area; p++)
    for (let i = 0; i < inputs; i++)
      for (let o = 0; o < outputs; o++)
        moved[(o * inputs + i) * area + p] = values[(p * inputs + i) * outputs + o];
  return { name, shape: [outputs, inputs, height, width], values: moved };
}

/** As TF.js pads them: where strides leave one pixel over, it is at the end. */
function convolutions() {
  const [even, second] = [
    [1, 1, 1, 1],
    [0, 0, 1, 1],
  ];
  return [[1, 1, 2, 2], even, second, even].flatMap((pads, i) => [
    {
      opType: "Conv",
      input: [i === 0 ? "x" : `r${i - 1}`, `conv${i + 1}/kernel`, `conv${i + 1}/bias`],
      output: [`c${i}`],
      attribute: [
        { name: "strides", ints: pads === even ? [1, 1] : [2, 2], type: 7 },
        { name: "pads", ints: pads, type: 7 },
      ],
    },
    { opType: "Relu", input: [`c${i}`], output: [`r${i}`] },
  ]);
}

const model = (graph: object) =>
  onnxMessage("Model", {
    irVersion: 8,
    opset: [{ domain: "", version: 13 }],
    graph: { name: "g", ...graph },
  });

const HEAD = [
  { opType: "Gemm", input: ["flat", "dense/kernel", "dense/bias"], output: ["sum"] },
  { opType: "Softmax", input: ["sum"], output: ["y"] },
];

const inside = (weights: Weight[]) =>
  weights
    .map(channelsFirst)
    .map(({ name, shape, values }) => ({ name, dims: shape, dataType: FLOAT, rawData: bytesOf(values) }));

/** What the last layer makes of 64 numbers. */
export function onnxHead(weights: Weight[]): Uint8Array {
  return model({
    node: HEAD,
    initializer: inside(weights.filter(({ name }) => name.startsWith("dense"))),
    input: [floats("flat", ["n", 64])],
    output: [floats("y", ["n", 10])],
  });
}

/** Any number of pictures at once; rows of ten probabilities. */
export function onnxDigits(weights: Weight[]): Uint8Array {
  return model({
    node: [
      ...convolutions(),
      { opType: "GlobalAveragePool", input: ["r3"], output: ["pool"] },
      { opType: "Flatten", input: ["pool"], output: ["flat"] },
      ...HEAD,
    ],
    initializer: inside(weights),
    input: [floats("x", ["n", 1, 28, 28])],
    output: [floats("y", ["n", 10])],
  });
}

/** One picture at a time, weights in a file beside it; maps and what is left of them after a sigmoid. */
export function onnxMaps(all: Weight[]): { "maps.onnx": Uint8Array; "maps.data": Uint8Array } {
  const weights = all.filter(({ name }) => name.startsWith("conv")).map(channelsFirst);
  let offset = 0;
  const initializer = weights.map(({ name, shape, values }) => {
    const external = { location: "maps.data", offset: `${offset}`, length: `${values.byteLength}` };
    offset += values.byteLength;
    const entries = Object.entries(external).map(([key, value]) => ({ key, value }));
    return { name, dims: shape, dataType: FLOAT, location: 1, external: entries };
  });
  return {
    "maps.onnx": model({
      node: [...convolutions(), { opType: "Sigmoid", input: ["c3"], output: ["s"] }],
      initializer,
      input: [floats("x", [1, 1, 28, 28])],
      output: [floats("c3", [1, 64, 7, 7]), floats("s", [1, 64, 7, 7])],
    }),
    "maps.data": new Uint8Array(Buffer.concat(weights.map(({ values }) => bytesOf(values)))),
  };
}
