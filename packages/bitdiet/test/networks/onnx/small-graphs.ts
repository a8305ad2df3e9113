/** Small ONNX graphs for the tests, and what ONNX Runtime makes of them. */
import * as ort from "onnxruntime-web";
import {
  type CalibrationGraph,
  type Constant,
  modelOfVersion,
  type OnnxNode,
  writeGraph,
} from "../../../src/networks/onnx/graph.js";
import { loadPiece, type Runtime } from "../../../src/networks/onnx/piece.js";
import type { OnnxRuntime } from "../../../src/networks/onnx/run.js";
import type { RunTensor } from "../../../src/networks/runner.js";
import { normals } from "../../formats/small-models.js";

ort.env.wasm.numThreads = 1;
export const runtime: Runtime = { ort: ort as unknown as OnnxRuntime, threads: 1 };

/** A graph with an input x and an output y, both float32. */
export function graphOf(
  nodes: readonly OnnxNode[],
  constants: Record<string, Constant>,
  shape: readonly (number | undefined)[],
  opset = 13,
): CalibrationGraph {
  return {
    nodes,
    constants: new Map(Object.entries(constants)),
    inputs: [{ name: "x", dtype: "float32", shape }],
    outputs: [{ name: "y", dtype: "float32" }],
    ...modelOfVersion(opset),
  };
}

export function tensor(
  shape: readonly number[],
  seed: number,
  scale = 1,
): RunTensor & { data: Float32Array } {
  const size = shape.reduce((a, b) => a * b, 1);
  return { dtype: "float32", shape, data: normals(size, seed, scale) };
}

/** A value of a graph, by default its output. */
export async function runGraph(graph: CalibrationGraph, x: RunTensor, value = "y"): Promise<RunTensor> {
  const types = new Map([["x", "float32" as const]]);
  const piece = await loadPiece(runtime, graph, graph.nodes, graph.constants, types, [value]);
  const [y] = await piece.run([x]);
  await piece.release();
  return y;
}

/** A whole model's bytes, run as anybody would. */
export async function runModel(bytes: Uint8Array, { data, shape }: RunTensor): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(bytes);
  const { y } = await session.run({ x: new ort.Tensor("float32", data as Float32Array, [...shape]) });
  await session.release();
  return y.data as Float32Array;
}

export function modelBytes(graph: CalibrationGraph): Uint8Array {
  return writeGraph(graph);
}

export function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
}
