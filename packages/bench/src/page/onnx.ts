/**
 * ONNX models as people make them smaller by hand: weights in another type, and a node in front that gives float32 back, which the
 * runtime folds when it starts.
 *
 *     weightOnlyOnnx(bytes, new Set(["conv1.weight"]), "uint8");   // DequantizeLinear(conv1.weight_small, scale, zero) -> conv1.weight
 */
import { floatBytes, floatValues } from "bitdiet";

/** Numbers of fields in onnx.proto. */
const MODEL_GRAPH = 7;
const GRAPH = { node: 1, initializer: 5, input: 11 };
const INPUT = { name: 1 };
const TENSOR = { dims: 1, dataType: 2, name: 8, rawData: 9 };
const NODE = { input: 1, output: 2, opType: 4, attribute: 5 };
const ATTRIBUTE = { name: 1, i: 3, type: 20 };
const [FLOAT, UINT8, FLOAT16, ATTRIBUTE_INT] = [1, 2, 10, 2];

interface Field {
  id: number;
  payload: Uint8Array;
  bytes: Uint8Array;
}

function* fieldsOf(message: Uint8Array): Generator<Field> {
  for (let at = 0; at < message.length; ) {
    const start = at;
    const varint = () => {
      let value = 0;
      for (let unit = 1; ; unit *= 128) {
        const byte = message[at++];
        value += (byte & 127) * unit;
        if (byte < 128) return value;
      }
    };
    const tag = varint();
    let from = at;
    if ((tag & 7) === 0) varint();
    else if ((tag & 7) === 2) {
      const length = varint();
      from = at;
      at += length;
    } else at += (tag & 7) === 1 ? 8 : 4;
    yield { id: tag >> 3, payload: message.subarray(from, at), bytes: message.subarray(start, at) };
  }
}

function varintBytes(value: number): number[] {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

const number = (id: number, value: number) => Buffer.from([...varintBytes(8 * id), ...varintBytes(value)]);
const field = (id: number, payload: Uint8Array | string) => {
  const bytes = Buffer.from(payload);
  return Buffer.concat([Buffer.from([...varintBytes(8 * id + 2), ...varintBytes(bytes.length)]), bytes]);
};

const node = (opType: string, inputs: readonly string[], output: string, attributes: Uint8Array[] = []) =>
  field(
    GRAPH.node,
    Buffer.concat([
      ...inputs.map((input) => field(NODE.input, input)),
      field(NODE.output, output),
      field(NODE.opType, opType),
      ...attributes.map((attribute) => field(NODE.attribute, attribute)),
    ]),
  );

const initializer = (name: string, type: number, dims: Uint8Array[], raw: Uint8Array) =>
  field(
    GRAPH.initializer,
    Buffer.concat([
      ...dims,
      number(TENSOR.dataType, type),
      field(TENSOR.name, name),
      field(TENSOR.rawData, raw),
    ]),
  );

/** @param weights names of float32 initializers with raw data */
export function weightOnlyOnnx(
  model: Uint8Array,
  weights: ReadonlySet<string>,
  type: "float16" | "uint8",
): Uint8Array {
  const pieces = [...fieldsOf(model)].map(({ id, payload, bytes }) =>
    id === MODEL_GRAPH ? field(MODEL_GRAPH, smallerGraph(payload, weights, type)) : bytes,
  );
  return new Uint8Array(Buffer.concat(pieces));
}

function smallerGraph(
  graph: Uint8Array,
  weights: ReadonlySet<string>,
  type: "float16" | "uint8",
): Uint8Array {
  const first: Uint8Array[] = [];
  const rest = [...fieldsOf(graph)].flatMap(({ id, payload, bytes }) => {
    // Old models list their initializers as inputs, too: what a node gives is none.
    if (id === GRAPH.input && weights.has(nameIn(payload, INPUT.name))) return [];
    const tensor = id === GRAPH.initializer ? tensorOf(payload) : undefined;
    if (!tensor?.raw || !weights.has(tensor.name)) return [bytes];
    const { name, dims, raw } = tensor;
    const values = floatValues("float32", raw);
    const small = `${name}_${type}`;
    if (type === "float16") {
      const to = Buffer.concat([
        field(ATTRIBUTE.name, "to"),
        number(ATTRIBUTE.i, FLOAT),
        number(ATTRIBUTE.type, ATTRIBUTE_INT),
      ]);
      first.push(node("Cast", [small], name, [to]));
      return [initializer(small, FLOAT16, dims, floatBytes("float16", values))];
    }
    const { codes, scale, zero } = affine(values);
    first.push(node("DequantizeLinear", [small, `${small}_scale`, `${small}_zero`], name));
    return [
      initializer(small, UINT8, dims, codes),
      initializer(`${small}_scale`, FLOAT, [], new Uint8Array(Float32Array.of(scale).buffer)),
      initializer(`${small}_zero`, UINT8, [], Uint8Array.of(zero)),
    ];
  });
  return Buffer.concat([...first, ...rest]);
}

const nameIn = (message: Uint8Array, id: number): string =>
  Buffer.from([...fieldsOf(message)].find((one) => one.id === id)?.payload ?? []).toString();

function tensorOf(message: Uint8Array): { name: string; dims: Uint8Array[]; raw?: Uint8Array } {
  const fields = [...fieldsOf(message)];
  const raw = fields.find(({ id }) => id === TENSOR.rawData)?.payload;
  const dims = fields.filter(({ id }) => id === TENSOR.dims).map(({ bytes }) => bytes);
  return { name: nameIn(message, TENSOR.name), dims, raw };
}

/** 256 levels from the least to the largest value, 0 among them, as ONNX Runtime's own quantization. */
function affine(values: Float32Array): { codes: Uint8Array; scale: number; zero: number } {
  let [least, most] = [0, 0];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const scale = (most - least) / 255 || 1;
  const zero = Math.round(-least / scale);
  const codes = Uint8Array.from(values, (value) =>
    Math.max(0, Math.min(255, Math.round(value / scale) + zero)),
  );
  return { codes, scale, zero };
}
