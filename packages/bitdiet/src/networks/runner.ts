/**
 * A model that can be run, whatever its format: named tensors in, named tensors out. TF.js and ONNX Runtime are behind it; nothing
 * here depends on either.
 *
 *     const runner = await onnxRunner(model, ort);
 *     const outputs = await runner.run(new Map([["x", { dtype: "float32", shape: [1, 3, 32, 32], data }]]));
 *     const changed = await runner.run(feeds, new Map([["conv1.weight", rounded]])); // the same with other weights
 */
import type { Dtype, Model } from "../model.js";

/** A tensor that goes into a model or comes out of it, row-major. */
export interface RunTensor {
  dtype: Dtype;
  shape: readonly number[];
  data: RunData;
}

/** Numbers of a tensor; float16 and bfloat16 as their bits, bool as 0 and 1. */
export type RunData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | string[];

export interface RunInput {
  name: string;
  dtype: Dtype;
  /** Extents, undefined where the model takes any; the whole is undefined where not even the rank is known. */
  shape: readonly (number | undefined)[] | undefined;
  /** Names of the axes that may have any extent, where the model has some: two axes of one name have one extent. */
  axisNames?: readonly (string | undefined)[];
}

export interface Runner {
  readonly inputs: readonly RunInput[];
  readonly outputs: readonly string[];
  /** Values inside the model that may be asked for, too, in the order in which they come: what convolutions and the like give. */
  readonly layers: readonly string[];
  /**
   * Outputs for one batch, by name.
   *
   * @param feeds a tensor for each input, by name
   * @param replaced values to use in place of the model's, by the name of the model's tensor and in that tensor's own order. The
   *   arrays must not be written to while the runner lives: it knows by identity which ones it has already taken over
   * @param wanted names of outputs or layers. Default: all outputs
   * @throws {RunError} if the model cannot be run with these feeds; {RangeError} if an input is missing, or what is replaced does
   *   not fit the model
   */
  run(
    feeds: ReadonlyMap<string, RunTensor>,
    replaced?: ReadonlyMap<string, Float32Array>,
    wanted?: readonly string[],
  ): Promise<ReadonlyMap<string, RunTensor>>;
  /** The same runtime with another model; only where models of one origin may have another graph, as a folded ONNX graph is. */
  reopen?(model: Model): Promise<Runner>;
  dispose(): Promise<void>;
}

/** A runtime could not load or run a model; the message is the runtime's own. */
export class RunError extends Error {
  override name = "RunError";
}

/** @throws {RangeError} unless each input has a tensor of its rank and extents */
export function checkFeeds(inputs: readonly RunInput[], feeds: ReadonlyMap<string, RunTensor>): void {
  for (const { name, dtype, shape } of inputs) {
    const feed = feeds.get(name);
    const extents = shape?.map((extent) => extent ?? "any");
    const wanted = `${dtype} of ${extents ? `[${extents}]` : "any shape"}`;
    if (!feed) throw new RangeError(`feeds: expected a tensor ${name}, ${wanted}, got ${[...feeds.keys()]}`);
    const fits =
      feed.dtype === dtype &&
      (!shape ||
        (shape.length === feed.shape.length &&
          shape.every((extent, axis) => extent === undefined || extent === feed.shape[axis])));
    if (!fits)
      throw new RangeError(`feeds: ${name}: expected ${wanted}, got ${feed.dtype} of [${feed.shape}]`);
  }
}

/** @throws {RangeError} unless each is an output or a layer */
export function checkWanted(
  { outputs, layers }: Pick<Runner, "outputs" | "layers">,
  wanted: readonly string[],
) {
  for (const name of wanted)
    if (!outputs.includes(name) && !layers.includes(name))
      throw new RangeError(`wanted: expected outputs (${outputs}) or layers, got ${name}`);
}

/** @throws {RangeError} unless each replaced tensor is one of the model's and has as many values */
export function checkReplaced(
  tensors: readonly { name: string; shape: readonly number[] }[],
  replaced: ReadonlyMap<string, Float32Array>,
): void {
  const sizes = new Map(tensors.map(({ name, shape }) => [name, shape.reduce((a, b) => a * b, 1)]));
  for (const [name, { length }] of replaced) {
    const size = sizes.get(name);
    if (size === undefined) throw new RangeError(`replaced: the model has no tensor ${name}`);
    if (size !== length) throw new RangeError(`replaced: ${name}: expected ${size} values, got ${length}`);
  }
}
