/**
 * Use of a tensor of a safetensors file, which has no graph: from its name, its layout and its neighbours, cautiously.
 *
 *     safetensorsUses([{ name: "fc.weight", dtype: "float32", shape: [10, 64] }])("fc.weight");
 *     // { kind: "weight", channelAxis: 0, reason: "weight by its name and shape" }
 */
import { type Dtype, dtypeBits, isFloat } from "../model.js";
import type { FollowedUse } from "./use.js";

interface Named {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
}

const VECTOR = /(^|[._/])(weight|bias|gamma|beta|scale|running_mean|running_var|mean|var|[wb]\d*)$/;
/** What stands beside weights and is none: scales and zero points of quantized ones, masks, positions, tables of a signal's front end. */
const EXACT =
  /(scales?|zeros?|zero_?points?|absmax|quant_?map|code_?book|g_idx|mask(ed)?(_bias)?|bias|anchors?|grids?|inv_freq|freqs?(_cis)?|cos|sin|cached|window|mel(_?filters?|w)?|filter_?banks?|fbank|basis(_buffer)?|dft|stft|position_ids|relative_position_index|buffer|running_mean|running_var|steps?|perm|lut)(_inv|_cached|_2|_inverse)?$/i;
const EMBEDDING = /(embed|(^|[._/])(wte|wpe|emb|tok|token_type)([._/]|$)|embeddings?(\.weight)?$)/i;
/** GPT-2's own layer for a matrix product keeps [in, out]. */
const INPUT_FIRST = /(^|[._/])(c_attn|c_proj|c_fc|q_attn)\.weight$/;
const TRANSPOSED = /(deconv|conv_?transpose|transposed_?conv|up_?conv|upsampl\w*conv)/i;

/** @param tensors all tensors of the model */
export function safetensorsUses(tensors: readonly Named[]): (name: string) => FollowedUse {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  // What stands beside integers of the same name, "layer.qweight" and "layer.scales", belongs to them.
  const quantized = new Set(
    tensors
      .filter(({ dtype, shape }) => !isFloat(dtype) && dtype !== "bool" && longAxes(shape) >= 2)
      .map(({ name }) => prefixOf(name)),
  );
  return (name) => {
    const { dtype, shape } = byName.get(name)!;
    if (!isFloat(dtype)) return integersUse(byName.get(name)!, byName);
    const prefix = prefixOf(name);
    if (prefix !== "" && quantized.has(prefix))
      return { kind: "exact", reason: `beside integers of ${prefix}` };
    const last = name.split(/[./]/).at(-1)!;
    if (longAxes(shape) < 2)
      return VECTOR.test(name)
        ? { kind: "vector", reason: `${last} by its name` }
        : { kind: "exact", reason: "no weight by its name" };
    if (EXACT.test(last)) return { kind: "exact", reason: `${last}: no weight by its name` };
    if (EMBEDDING.test(name) && shape.length === 2)
      return { kind: "embedding", channelAxis: 0, reason: "embedding by its name" };
    if (shape.length >= 3 && shape[1] === 1)
      return {
        kind: "depthwise",
        channelAxis: 0,
        reason: "depthwise kernel by its shape",
        ...windowOf(shape, 0),
      };
    const channelAxis = axisOf(name, last, shape);
    const reason = "weight by its name and shape";
    return { kind: "weight", channelAxis, reason, ...windowOf(shape, channelAxis) };
  };
}

/** What elements of 32 bits are called that hold several integers: GPTQ, AWQ, compressed-tensors, MLX. */
const PACKED = /(^|[./])(qweight|weight_packed|weight)$/;

/** Integers of two axes are a weight's that was quantized before; of int32 several in an element. Rows are those of the first axis. */
function integersUse(tensor: Named, byName: ReadonlyMap<string, Named>): FollowedUse {
  const { name, dtype, shape } = tensor;
  const isWide = dtypeBits[dtype] > 8;
  if (longAxes(shape) < 2 || (isWide && !(dtypeBits[dtype] === 32 && PACKED.test(name))))
    return { kind: "exact", reason: "no weight by its name and shape" };
  const width = isWide ? { width: packedBits(tensor, byName) } : {};
  return { kind: "weight", channelAxis: 0, reason: `integers of ${prefixOf(name) || name}`, ...width };
}

/**
 * Bits of an integer in a 32-bit element, from what lies beside it: GPTQ packs along the first axis, of which `g_idx` has the true
 * length, AWQ along the second, which is that of `scales`. Where nothing tells, 4.
 */
function packedBits({ name, dtype, shape }: Named, byName: ReadonlyMap<string, Named>): number {
  const beside = (last: string) => byName.get(`${prefixOf(name)}.${last}`)?.shape ?? [];
  const [inputs = 0] = beside("g_idx");
  const [, outputs = 0] = beside("scales");
  const [packed, integers] = inputs > 0 ? [shape[0], inputs] : [shape[1], outputs];
  const bits = (dtypeBits[dtype] * packed) / integers;
  return bits < dtypeBits[dtype] ? bits : 4;
}

/** Torch's Linear is [out, in], its convolutions OIHW, transposed ones IOHW; Keras and Flax have the outputs last. */
function axisOf(name: string, last: string, shape: readonly number[]): number {
  if (last === "kernel") return shape.length - 1;
  if (INPUT_FIRST.test(name) || (TRANSPOSED.test(name) && shape.length >= 3)) return 1;
  return 0;
}

/** Larger sides are hardly those of a kernel. */
const MAX_SIDE = 31;

/** Kernels lie behind the channels, or before them where the outputs are last; those of transposed convolutions see no neighbours. */
function windowOf(shape: readonly number[], channelAxis: number): { isConvolution?: boolean } {
  const last = shape.length - 1;
  if (last < 2 || (channelAxis > 0 && channelAxis < last)) return {};
  const sides = channelAxis === 0 ? shape.slice(2) : shape.slice(0, -2);
  return sides.every((side) => side <= MAX_SIDE) ? { isConvolution: true } : {};
}

const longAxes = (shape: readonly number[]) => shape.filter((extent) => extent > 1).length;

/** "model.layers.0.q_proj" of "model.layers.0.q_proj.weight_scale"; bitsandbytes has several parts behind the weight's name. */
function prefixOf(name: string): string {
  return name.replace(/\.weight\..*$/, "").replace(/[./][^./]*$/, (end) => (end === name ? end : ""));
}
