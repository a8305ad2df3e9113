/**
 * The project's own BERT as the ONNX models that people have: as exporters write a classifier, and in the shape of a GPT, which reads
 * from left to right and gives logits of the next word by the table of its words.
 *
 *     writeFileSync("model.onnx", bertOnnx(await readBertCheckpoint(folder)));
 *     writeFileSync("causal.onnx", gptOnnx(await readBertCheckpoint(folder)));
 */
import type { BertCheckpoint } from "@bitdiet/zoo/nets/bert-checkpoint";
import { type OnnxAttribute, type OnnxConstant, onnxFile, onnxNode } from "./onnx-file.js";

const OPSET = 17;

type Network = Pick<BertCheckpoint, "parameters" | "config">;

/** Inputs input_ids, attention_mask, token_type_ids [1, length], int64; output logits [1, classes]. */
export function bertOnnx(network: Network): Uint8Array {
  const graph = writerFor(network);
  const { emit, ints, float, linear } = graph;
  const words = emit("Gather", [graph.matrix("bert.embeddings.word_embeddings.weight"), "input_ids"]);
  const types = emit("Gather", [
    graph.matrix("bert.embeddings.token_type_embeddings.weight"),
    "token_type_ids",
  ]);
  const mask = emit("Unsqueeze", [emit("Cast", ["attention_mask"], { to: 1 }), ints(1, 2)]);
  const bias = emit("Mul", [emit("Sub", [float(1), mask]), float(-1e9)]);
  const encoded = encode(graph, emit("Add", [words, types]), bias);
  const first = emit("Gather", [encoded, ints.scalar(0)], { axis: 1 });
  const pooled = emit("Tanh", [linear(first, "bert.pooler.dense")]);
  return graph.finish(linear(pooled, "classifier"), ["input_ids", "attention_mask", "token_type_ids"]);
}

/** Input input_ids [1, length], int64; output logits [1, length, words]. */
export function gptOnnx(network: Network): Uint8Array {
  const graph = writerFor(network);
  const { emit, ints, float } = graph;
  const name = "bert.embeddings.word_embeddings.weight";
  const words = emit("Gather", [graph.matrix(name), "input_ids"]);
  const places = positions(graph);
  const isLater = emit("Greater", [places, emit("Transpose", [places], { perm: [1, 0] })]);
  const bias = emit("Mul", [emit("Cast", [isLater], { to: 1 }), float(-1e9)]);
  const encoded = encode(graph, words, emit("Unsqueeze", [bias, ints(0, 1)]));
  return graph.finish(emit("MatMul", [encoded, graph.transposed(name)]), ["input_ids"]);
}

type Writer = ReturnType<typeof writerFor>;

function writerFor({ parameters, config }: Network) {
  const nodes: object[] = [];
  const constants = new Map<string, OnnxConstant>();
  const put = (name: string, constant: OnnxConstant) => {
    constants.set(name, constant);
    return name;
  };
  const matrix = (name: string) => {
    const { shape } = parameters[name];
    return put(name, { shape, data: parameters[name].dataSync<"float32">() as Float32Array });
  };
  const emit = (op: string, inputs: string[], attributes: Record<string, OnnxAttribute> = {}) => {
    const output = `${op} ${nodes.length}`;
    nodes.push(onnxNode(op, inputs, output, attributes));
    return output;
  };
  const ints = Object.assign((...values: number[]) => put(`ints ${values}`, whole([values.length], values)), {
    scalar: (value: number) => put(`int ${value}`, whole([], [value])),
  });
  return {
    config,
    matrix,
    emit,
    ints,
    float: (value: number) => put(`float ${value}`, { shape: [], data: Float32Array.of(value) }),
    linear: (x: string, name: string) =>
      emit("Add", [emit("MatMul", [x, matrix(`${name}.weight`)]), matrix(`${name}.bias`)]),
    norm: (x: string, name: string) =>
      emit("LayerNormalization", [x, matrix(`${name}.weight`), matrix(`${name}.bias`)], {
        epsilon: Float32Array.of(config.layerNormEps),
      }),
    /** As exporters fold it: a constant of its own. */
    transposed(name: string) {
      const [rows, columns] = parameters[name].shape;
      const values = parameters[name].dataSync<"float32">();
      const turned = Float32Array.from(
        { length: rows * columns },
        (_, i) => values[(i % rows) * columns + Math.floor(i / rows)],
      );
      return put(`${name} transposed`, { shape: [columns, rows], data: turned });
    },
    finish(logits: string, inputs: readonly string[]) {
      nodes.push(onnxNode("Identity", [logits], "logits"));
      return onnxFile({
        opset: OPSET,
        nodes,
        constants,
        inputs: inputs.map((name) => [name, "int64", ["batch", "length"]] as const),
        outputs: ["logits"],
      });
    },
  };
}

const whole = (shape: number[], values: readonly number[]): OnnxConstant => ({
  shape,
  data: BigInt64Array.from(values, BigInt),
});

/** Numbers of the places, [1, length]. */
function positions({ emit, ints, config }: Writer): string {
  const all = emit("Range", [ints.scalar(0), ints.scalar(config.maxPositionEmbeddings), ints.scalar(1)]);
  const length = emit("Slice", [emit("Shape", ["input_ids"]), ints(1), ints(2)]);
  return emit("Unsqueeze", [emit("Slice", [all, ints(0), length]), ints(0)]);
}

/** @param bias added to scores, [1, 1, 1 or length, length] */
function encode(graph: Writer, embedded: string, bias: string): string {
  const { emit, norm, matrix, config } = graph;
  const places = emit("Gather", [matrix("bert.embeddings.position_embeddings.weight"), positions(graph)]);
  let x = norm(emit("Add", [embedded, places]), "bert.embeddings.LayerNorm");
  for (let layer = 0; layer < config.numHiddenLayers; layer++) {
    const name = `bert.encoder.layer.${layer}`;
    const context = attend(graph, x, bias, `${name}.attention.self`);
    const attention = graph.linear(context, `${name}.attention.output.dense`);
    const attended = norm(emit("Add", [x, attention]), `${name}.attention.output.LayerNorm`);
    const inner = gelu(graph, graph.linear(attended, `${name}.intermediate.dense`));
    const outer = graph.linear(inner, `${name}.output.dense`);
    x = norm(emit("Add", [attended, outer]), `${name}.output.LayerNorm`);
  }
  return x;
}

function attend({ emit, ints, float, linear, config }: Writer, x: string, bias: string, name: string) {
  const { numAttentionHeads: heads, hiddenSize } = config;
  const size = hiddenSize / heads;
  const split = (role: string, perm: number[]) =>
    emit("Transpose", [emit("Reshape", [linear(x, `${name}.${role}`), ints(0, 0, heads, size)])], { perm });
  const products = emit("MatMul", [split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1])]);
  const scores = emit("Div", [products, float(Math.sqrt(size))]);
  const probabilities = emit("Softmax", [emit("Add", [scores, bias])], { axis: -1 });
  const context = emit("MatMul", [probabilities, split("value", [0, 2, 1, 3])]);
  return emit("Reshape", [emit("Transpose", [context], { perm: [0, 2, 1, 3] }), ints(0, 0, hiddenSize)]);
}

function gelu({ emit, float }: Writer, x: string): string {
  const bell = emit("Erf", [emit("Div", [x, float(Math.SQRT2)])]);
  return emit("Mul", [emit("Mul", [x, emit("Add", [bell, float(1)])]), float(0.5)]);
}
