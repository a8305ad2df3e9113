/**
 * Second moments of a layer's inputs from a sample of positions, by products of matrices that ONNX Runtime runs:
 *
 *     gram = sum of x x^T,   residual = sum of (W (x' - x) + s' - s) x^T
 *
 * x an input extended by a 1, x' the same in the float network, s what the output is added to.
 */
import type { InputStatistics } from "../network.js";
import type { RunTensor } from "../runner.js";
import { type CalibrationGraph, makeNode } from "./graph.js";
import type { OnnxLayer } from "./layers.js";
import { loadPiece, type Piece, type Runtime } from "./piece.js";
import type { Positions } from "./window.js";

/** Numbers of a chunk of samples: memory that a layer's sums take beside the moments themselves. */
const CHUNK = 2 ** 22;

export interface Moments {
  /**
   * @param x input of the changed network and of the float one
   * @param s what the output is added to, in the changed network and in the float one
   * @param positions sampled from it
   */
  add(
    x: readonly [RunTensor, RunTensor],
    s: readonly [RunTensor, RunTensor] | undefined,
    positions: Int32Array,
  ): Promise<void>;
  means(): Promise<InputStatistics>;
}

/** The products, for any layer: shapes are free. */
export async function momentsPiece(
  runtime: Runtime,
  model: Pick<CalibrationGraph, "modelFields" | "opset">,
): Promise<Piece> {
  const nodes = [
    makeNode("Sub", ["exact", "x"], ["change"]),
    makeNode("Transpose", ["weights"], ["turned"], { perm: [0, 2, 1] }),
    makeNode("MatMul", ["change", "turned"], ["moved"]),
    makeNode("Add", ["moved", "sums"], ["error"]),
    makeNode("Transpose", ["x"], ["columns"], { perm: [0, 2, 1] }),
    makeNode("Transpose", ["error"], ["errors"], { perm: [0, 2, 1] }),
    makeNode("MatMul", ["columns", "x"], ["gram"]),
    makeNode("MatMul", ["errors", "x"], ["residual"]),
  ];
  const inputs = new Map(["x", "exact", "weights", "sums"].map((name) => [name, "float32" as const]));
  return loadPiece(runtime, model, nodes, new Map(), inputs, ["gram", "residual"]);
}

export function momentsOf(products: Piece, layer: OnnxLayer): Moments {
  const { rows, columns, groups = 1, bias } = layer;
  const n = columns + 1;
  const gram = new Float64Array(groups * n * n);
  const residual = new Float64Array(rows * n);
  const chunk = chunkFor(layer);
  const weights = withoutBiases(layer);
  let count = 0;

  async function flush(): Promise<void> {
    if (chunk.filled === 0) return;
    const [h, r] = await products.run(operands(chunk, layer, weights));
    addTo(gram, h.data as Float32Array);
    addTo(residual, r.data as Float32Array);
    count += chunk.filled;
    chunk.filled = 0;
  }

  return {
    async add(x, s, positions) {
      const window = layer.window(x[0].shape);
      for (const position of positions) {
        put(chunk, layer, window, position, x, s);
        if (chunk.filled === chunk.room) await flush();
      }
    },
    async means() {
      await flush();
      for (let g = 1; bias === undefined && g <= groups; g++) gram[g * n * n - 1] = count;
      return { gram: gram.map((sum) => sum / count), residual: residual.map((sum) => sum / count) };
    },
  };
}

/** Samples that wait until their products are taken; groups are outermost. */
interface Chunk {
  room: number;
  filled: number;
  x: Float32Array;
  exact: Float32Array;
  /** Empty if the output is added to nothing. */
  sums: Float32Array;
}

function chunkFor({ rows, columns, groups = 1, addedTo }: OnnxLayer): Chunk {
  const n = columns + 1;
  const perGroup = rows / groups;
  const room = Math.max(16, Math.floor(CHUNK / (groups * (n + perGroup))));
  return {
    room,
    filled: 0,
    x: new Float32Array(groups * room * n),
    exact: new Float32Array(groups * room * n),
    sums: new Float32Array(addedTo === undefined ? 0 : groups * room * perGroup),
  };
}

/** Adds the sample at one position. */
function put(
  chunk: Chunk,
  { rows, columns, groups = 1, bias }: OnnxLayer,
  { read, output, rowStride }: Positions,
  position: number,
  [changed, float]: readonly [RunTensor, RunTensor],
  s: readonly [RunTensor, RunTensor] | undefined,
): void {
  const { room, filled, x, exact, sums } = chunk;
  const n = columns + 1;
  const perGroup = rows / groups;
  const one = bias === undefined ? 0 : 1;
  for (let g = 0; g < groups; g++) {
    const at = (g * room + filled) * n;
    read(position, g, changed.data as Float32Array, x, at);
    read(position, g, float.data as Float32Array, exact, at);
    x[at + n - 1] = exact[at + n - 1] = one;
    if (!s) continue;
    const [now, wanted] = s.map(({ data }) => data as Float32Array);
    let from = output(position) + g * perGroup * rowStride;
    for (let r = 0, to = (g * room + filled) * perGroup; r < perGroup; r++, from += rowStride)
      sums[to + r] = wanted[from] - now[from];
  }
  chunk.filled++;
}

/** What the products are taken of, in the order of `momentsPiece`. */
function operands(
  { room, filled, x, exact, sums }: Chunk,
  { rows, columns, groups = 1 }: OnnxLayer,
  weights: Float32Array,
): RunTensor[] {
  const n = columns + 1;
  const perGroup = rows / groups;
  const tensor = (data: Float32Array, shape: number[]): RunTensor => ({ dtype: "float32", shape, data });
  const compact = (data: Float32Array, width: number) =>
    tensor(filled === room ? data : leading(data, groups, room * width, filled * width), [
      groups,
      filled,
      width,
    ]);
  return [
    compact(x, n),
    compact(exact, n),
    tensor(weights, [groups, perGroup, n]),
    sums.length > 0 ? compact(sums, perGroup) : tensor(new Float32Array(1), [1, 1, 1]),
  ];
}

/** The weights with a last column, which counts for nothing: the biases are the same in both networks. */
function withoutBiases({ rows, columns, weights }: OnnxLayer): Float32Array {
  const extended = new Float32Array(rows * (columns + 1));
  for (let r = 0; r < rows; r++)
    extended.set(weights.subarray(r * columns, (r + 1) * columns), r * (columns + 1));
  return extended;
}

/** The first `kept` numbers of each of `parts` stretches. */
function leading(values: Float32Array, parts: number, length: number, kept: number): Float32Array {
  const all = new Float32Array(parts * kept);
  for (let part = 0; part < parts; part++)
    all.set(values.subarray(part * length, part * length + kept), part * kept);
  return all;
}

function addTo(sum: Float64Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] += values[i];
}
