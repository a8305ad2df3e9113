/**
 * ONNX models, run by ONNX Runtime: onnxruntime-node or onnxruntime-web, whichever the caller has.
 *
 *     import * as ort from "onnxruntime-node";
 *     const runner = await onnxRunner(await readModel(files, "model.onnx"), ort);
 *
 * A session's weights cannot be changed (those that are graph inputs could, but the runtime then folds and packs nothing), so other
 * weights are another session, and so is a look at other values than its outputs. The last one is kept: many batches with the same
 * weights load them once.
 */
import { floatBytes } from "../../formats/floats.js";
import { writeModel } from "../../formats/list.js";
import { onnxProto } from "../../formats/onnx/graph.js";
import { joinPieces } from "../../loaders/source.js";
import type { Dtype, Model } from "../../model.js";
import {
  checkFeeds,
  checkReplaced,
  checkWanted,
  RunError,
  type RunInput,
  type Runner,
  type RunTensor,
} from "../runner.js";
import { GRAPH, GRAPH_OUTPUT, payloadField } from "./graph.js";

/** What is used of onnxruntime-node and onnxruntime-web, from 1.22 on. `never` stands for types that only the runtime has. */
export interface OnnxRuntime {
  InferenceSession: { create(model: Uint8Array, options: object): Promise<OnnxSession> };
  Tensor: new (type: never, data: never, shape: number[]) => unknown;
}

interface OnnxSession {
  readonly inputMetadata: readonly OnnxValue[];
  readonly outputMetadata: readonly OnnxValue[];
  run(feeds: never, fetches: readonly string[]): Promise<Readonly<Record<string, unknown>>>;
  release(): Promise<void>;
}

/** A tensor of the runtime's. */
interface OnnxTensor {
  type: Dtype;
  dims: readonly number[];
  data: RunTensor["data"];
}

interface OnnxValue {
  name: string;
  isTensor: boolean;
  type?: string;
  shape?: readonly (number | string)[];
}

/** Nodes whose results one would look at. */
const LAYERS = /Conv|^(Gemm|MatMul|LSTM|GRU|(Max|Average|GlobalAverage)Pool|(Leaky|P)?Relu|HardSwish)$/;

/**
 * @param model of the format "onnx"
 * @param threads of one run; onnxruntime-web has its own setting, `env.wasm.numThreads`
 * @throws {RunError} if the runtime cannot load the model
 */
export async function onnxRunner(
  model: Model,
  ort: OnnxRuntime,
  { threads = 1 }: { threads?: number } = {},
): Promise<Runner> {
  if (model.format !== "onnx") throw new TypeError(`model: expected an ONNX model, got ${model.format}`);
  // Errors are thrown: they need not be printed, too.
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 4 };
  const load = async ({ replaced, added }: Change) => {
    const { bytes, externalData } = await onnxFiles(withValues(model, replaced));
    const graph = withOutputs(bytes, added);
    return ort.InferenceSession.create(graph, { ...options, externalData }).catch(asRunError);
  };
  const original = await load({ replaced: new Map(), added: [] });
  if (original.inputMetadata === undefined)
    throw new RunError("ort: expected ONNX Runtime 1.22 or newer, which says what a model's inputs are");
  const inputs = original.inputMetadata.map(inputOf);
  const outputs = original.outputMetadata.filter(({ isTensor }) => isTensor).map(({ name }) => name);
  const layers = layersIn(model).filter((name) => !outputs.includes(name));
  let other: (Change & { session: OnnxSession }) | undefined;

  async function sessionWith(change: Change): Promise<OnnxSession> {
    const { replaced, added } = change;
    if (replaced.size === 0 && added.length === 0) return original;
    if (other && isSame(other, change)) return other.session;
    checkReplaced(model.tensors, replaced);
    await other?.session.release();
    other = undefined;
    other = { replaced: new Map(replaced), added, session: await load(change) };
    return other.session;
  }

  return {
    inputs,
    outputs,
    layers,
    async run(feeds, replaced = new Map(), wanted = outputs) {
      checkFeeds(inputs, feeds);
      checkWanted({ outputs, layers }, wanted);
      const given = inputs.map(({ name, dtype }) => {
        const { data, shape } = feeds.get(name)!;
        return [name, new ort.Tensor(dtype as never, data as never, [...shape])];
      });
      const added = wanted.filter((name) => !outputs.includes(name));
      const session = await sessionWith({ replaced, added });
      const found = await session.run(Object.fromEntries(given) as never, wanted).catch(asRunError);
      return new Map(
        wanted.map((name) => {
          const { type, dims, data } = found[name] as OnnxTensor;
          return [name, { dtype: type, shape: dims, data }];
        }),
      );
    },
    reopen: (other) => onnxRunner(other, ort, { threads }),
    async dispose() {
      await Promise.all([original.release(), other?.session.release()]);
    },
  };
}

type Replaced = ReadonlyMap<string, Float32Array>;

/** What a session has other than the model: weights, and values that are outputs, too. */
interface Change {
  replaced: Replaced;
  added: readonly string[];
}

function isSame(a: Change, b: Change): boolean {
  return (
    String(a.added) === String(b.added) &&
    a.replaced.size === b.replaced.size &&
    [...a.replaced].every(([name, values]) => b.replaced.get(name) === values)
  );
}

function layersIn({ metadata }: Model): string[] {
  const { nodes } = onnxProto(metadata["graph.onnx"]).graph;
  return nodes.flatMap(({ opType, outputs }) => (LAYERS.test(opType) ? outputs.slice(0, 1) : []));
}

/** Protobuf merges a message that is there twice: the graph then has these outputs, too, whose types a runtime infers. */
function withOutputs(bytes: Uint8Array, names: readonly string[]): Uint8Array {
  if (names.length === 0) return bytes;
  const outputs = names.map((name) => payloadField(GRAPH_OUTPUT, [payloadField(1, name)]));
  return joinPieces([bytes, payloadField(GRAPH, outputs)]);
}

function withValues(model: Model, replaced: Replaced): Model {
  const tensors = model.tensors.map((tensor) => {
    const values = replaced.get(tensor.name);
    return values ? { ...tensor, bytes: async () => bytesOf(tensor.dtype, values, tensor.name) } : tensor;
  });
  return { ...model, tensors };
}

function bytesOf(dtype: Dtype, values: Float32Array, name: string): Uint8Array {
  if (dtype === "float64") return new Uint8Array(Float64Array.from(values).buffer);
  if (dtype === "float32" || dtype === "float16" || dtype === "bfloat16") return floatBytes(dtype, values);
  throw new RangeError(`replaced: ${name}: expected a tensor of floats, got ${dtype}`);
}

/** The model as its files, as the runtime takes them. */
async function onnxFiles(model: Model) {
  const pieces = new Map<string, Uint8Array[]>();
  for await (const { file, bytes } of writeModel(model)) {
    const list = pieces.get(file);
    if (list) list.push(bytes);
    else pieces.set(file, [bytes]);
  }
  const [[, main], ...others] = [...pieces];
  return {
    bytes: joinPieces(main),
    externalData: others.map(([path, list]) => ({ path, data: joinPieces(list) })),
  };
}

function inputOf({ name, isTensor, type, shape }: OnnxValue): RunInput {
  if (!isTensor || type === undefined || shape === undefined)
    throw new RunError(`${name}: expected an input that is a tensor, got a sequence or a map`);
  return {
    name,
    dtype: type as Dtype,
    // Axes without a name are "", or -1 in some builds, with a sign or as 2 ** 32 - 1.
    shape: shape.map((extent) =>
      typeof extent === "number" && extent === extent >> 0 && extent >= 0 ? extent : undefined,
    ),
    axisNames: shape.map((extent) => (typeof extent === "string" && extent !== "" ? extent : undefined)),
  };
}

function asRunError(error: Error): never {
  throw new RunError(error.message, { cause: error });
}
