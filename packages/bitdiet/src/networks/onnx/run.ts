/**
 * ONNX models, run by ONNX Runtime: onnxruntime-node or onnxruntime-web, whichever the caller has.
 *
 *     import * as ort from "onnxruntime-node";
 *     const runner = await onnxRunner(await readModel(files, "model.onnx"), ort);
 *
 * A session's weights cannot be changed (those that are graph inputs could, but the runtime then folds and packs nothing), so other
 * weights are another session. The last one is kept: many batches with the same weights load them once.
 */
import { floatBytes } from "../../formats/floats.js";
import { writeModel } from "../../formats/list.js";
import { joinPieces } from "../../loaders/source.js";
import type { Dtype, Model } from "../../model.js";
import {
  checkFeeds,
  checkReplaced,
  RunError,
  type RunInput,
  type Runner,
  type RunTensor,
} from "../runner.js";

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
  const load = async (replaced: Replaced) => {
    const { bytes, externalData } = await onnxFiles(withValues(model, replaced));
    return ort.InferenceSession.create(bytes, { ...options, externalData }).catch(asRunError);
  };
  const original = await load(new Map());
  if (original.inputMetadata === undefined)
    throw new RunError("ort: expected ONNX Runtime 1.22 or newer, which says what a model's inputs are");
  const inputs = original.inputMetadata.map(inputOf);
  const outputs = original.outputMetadata.filter(({ isTensor }) => isTensor).map(({ name }) => name);
  let other: { replaced: Replaced; session: OnnxSession } | undefined;

  async function sessionWith(replaced: Replaced): Promise<OnnxSession> {
    if (replaced.size === 0) return original;
    if (other && isSame(other.replaced, replaced)) return other.session;
    checkReplaced(model.tensors, replaced);
    await other?.session.release();
    other = undefined;
    other = { replaced: new Map(replaced), session: await load(replaced) };
    return other.session;
  }

  return {
    inputs,
    outputs,
    async run(feeds, replaced = new Map()) {
      checkFeeds(inputs, feeds);
      const given = inputs.map(({ name, dtype }) => {
        const { data, shape } = feeds.get(name)!;
        return [name, new ort.Tensor(dtype as never, data as never, [...shape])];
      });
      const session = await sessionWith(replaced);
      const found = await session.run(Object.fromEntries(given) as never, outputs).catch(asRunError);
      return new Map(
        outputs.map((name) => {
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

function isSame(a: Replaced, b: Replaced): boolean {
  return a.size === b.size && [...a].every(([name, values]) => b.get(name) === values);
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
