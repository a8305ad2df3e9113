// The bundled network as ONNX models: one that answers, its last layer alone, and one with outputs that are no answers. Written field by
// field, as onnx.proto numbers them.

/** A tensor of the bundled network. */
export interface Weight {
  name: string;
  shape: number[];
  values: Float32Array;
}

/** Fields of a message, in their order: numbers, texts, bytes, and messages that are fields themselves. */
type Fields = (readonly [id: number, value: number | string | Uint8Array | Fields])[];

function message(fields: Fields): Uint8Array {
  const pieces = fields.map(([id, value]) => {
    if (typeof value === "number") return Buffer.from([...varint(8 * id), ...varint(value)]);
    const payload =
      typeof value === "string" ? Buffer.from(value) : Array.isArray(value) ? message(value) : value;
    return Buffer.concat([Buffer.from([...varint(8 * id + 2), ...varint(payload.length)]), payload]);
  });
  return new Uint8Array(Buffer.concat(pieces));
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) =>
  new Uint8Array(buffer, byteOffset, byteLength);

const FLOAT = 1;
const INTS = 7;

function floats(name: string, extents: (number | string)[]): Fields {
  const shape = extents.map((extent): Fields[number] => [1, [[typeof extent === "number" ? 1 : 2, extent]]]);
  const tensor: Fields = [
    [1, FLOAT],
    [2, shape],
  ];
  return [
    [1, name],
    [2, [[1, tensor]]],
  ];
}

function node(kind: string, inputs: string[], output: string, ints: Record<string, number[]> = {}): Fields {
  const attributes = Object.entries(ints).map(([name, values]): Fields[number] => [
    5,
    [[1, name], ...values.map((value) => [8, value] as const), [20, INTS]],
  ]);
  return [...inputs.map((input) => [1, input] as const), [2, output], [4, kind], ...attributes];
}

function model(nodes: Fields[], initializers: Fields[], inputs: Fields[], outputs: Fields[]): Uint8Array {
  const graph: Fields = [
    ...nodes.map((each) => [1, each] as const),
    [2, "graph"],
    ...initializers.map((each) => [5, each] as const),
    ...inputs.map((each) => [11, each] as const),
    ...outputs.map((each) => [12, each] as const),
  ];
  const opset: Fields = [
    [1, ""],
    [2, 13],
  ];
  return message([
    [1, 8],
    [7, graph],
    [8, opset],
  ]);
}

const tensor = ({ name, shape }: Weight, data: Fields): Fields => [
  ...shape.map((extent) => [1, extent] as const),
  [2, FLOAT],
  [8, name],
  ...data,
];

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
function convolutions(): Fields[] {
  const [even, second] = [
    [1, 1, 1, 1],
    [0, 0, 1, 1],
  ];
  return [[1, 1, 2, 2], even, second, even].flatMap((pads, i) => {
    const inputs = [i === 0 ? "x" : `r${i - 1}`, `conv${i + 1}/kernel`, `conv${i + 1}/bias`];
    const strides = pads === even ? [1, 1] : [2, 2];
    return [node("Conv", inputs, `c${i}`, { strides, pads }), node("Relu", [`c${i}`], `r${i}`)];
  });
}

const HEAD = [node("Gemm", ["flat", "dense/kernel", "dense/bias"], "sum"), node("Softmax", ["sum"], "y")];

const inside = (weights: Weight[]) =>
  weights.map(channelsFirst).map((weight) => tensor(weight, [[9, bytesOf(weight.values)]]));

/** What the last layer makes of 64 numbers. */
export function onnxHead(weights: Weight[]): Uint8Array {
  const own = weights.filter(({ name }) => name.startsWith("dense"));
  return model(HEAD, inside(own), [floats("flat", ["n", 64])], [floats("y", ["n", 10])]);
}

/** Any number of pictures at once; rows of ten probabilities. */
export function onnxDigits(weights: Weight[]): Uint8Array {
  const pool = [node("GlobalAveragePool", ["r3"], "pool"), node("Flatten", ["pool"], "flat")];
  const nodes = [...convolutions(), ...pool, ...HEAD];
  return model(nodes, inside(weights), [floats("x", ["n", 1, 28, 28])], [floats("y", ["n", 10])]);
}

/** One picture at a time, weights in a file beside it; maps and what is left of them after a sigmoid. */
export function onnxMaps(all: Weight[]): { "maps.onnx": Uint8Array; "maps.data": Uint8Array } {
  const weights = all.filter(({ name }) => name.startsWith("conv")).map(channelsFirst);
  let offset = 0;
  const beside = weights.map((weight) => {
    const { byteLength } = weight.values;
    const external = { location: "maps.data", offset: `${offset}`, length: `${byteLength}` };
    offset += byteLength;
    const entry = ([key, value]: [string, string]): Fields[number] => [
      13,
      [
        [1, key],
        [2, value],
      ],
    ];
    return tensor(weight, [...Object.entries(external).map(entry), [14, 1]]);
  });
  const nodes = [...convolutions(), node("Sigmoid", ["c3"], "s")];
  const maps = [1, 64, 7, 7];
  return {
    "maps.onnx": model(nodes, beside, [floats("x", [1, 1, 28, 28])], [floats("c3", maps), floats("s", maps)]),
    "maps.data": new Uint8Array(Buffer.concat(weights.map(({ values }) => bytesOf(values)))),
  };
}
