/**
 * A few nodes of a graph as a model of their own, run by ONNX Runtime.
 *
 *     const piece = await loadPiece(ort, graph, nodes, { inputs, outputs: ["y"] });
 *     const [y] = await piece.run([x]);
 *     await piece.release();
 */

import type { Dtype } from "../../model.js";
import { RunError, type RunTensor } from "../runner.js";
import { type CalibrationGraph, type Constant, type OnnxNode, readBy, writeGraph } from "./graph.js";
import type { OnnxRuntime } from "./run.js";

export interface Piece {
  inputs: readonly string[];
  outputs: readonly string[];
  /** Tensors in the order of the inputs, and of the outputs. */
  run(inputs: readonly RunTensor[]): Promise<RunTensor[]>;
  release(): Promise<void>;
}

export interface Runtime {
  ort: OnnxRuntime;
  /** Threads of one run. */
  threads: number;
}

/**
 * @param constants those that the nodes use, and maybe others
 * @param inputs names and types of what is given
 * @throws {RunError} if the runtime does not take the piece
 */
export async function loadPiece(
  { ort, threads }: Runtime,
  { modelFields, opset }: Pick<CalibrationGraph, "modelFields" | "opset">,
  nodes: readonly OnnxNode[],
  constants: ReadonlyMap<string, Constant>,
  inputs: ReadonlyMap<string, Dtype>,
  outputs: readonly string[],
): Promise<Piece> {
  const used = new Set(nodes.flatMap(readBy));
  const bytes = writeGraph({
    nodes,
    constants: new Map([...constants].filter(([name]) => used.has(name) || outputs.includes(name))),
    inputs: [...inputs].map(([name, dtype]) => ({ name, dtype })),
    outputs: outputs.map((name) => ({ name })),
    opset,
    modelFields,
  });
  const fail = (error: Error): never => {
    throw new RunError(error.message, { cause: error });
  };
  const options = { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3 };
  const session = await ort.InferenceSession.create(bytes, options).catch(fail);
  const names = [...inputs.keys()];
  return {
    inputs: names,
    outputs,
    async run(tensors) {
      const feeds = names.map((name, i) => {
        const { dtype, data, shape } = tensors[i];
        return [name, new ort.Tensor(dtype as never, data as never, [...shape])];
      });
      const found = await session.run(Object.fromEntries(feeds) as never, outputs).catch(fail);
      return outputs.map((name) => {
        const { type, dims, data } = found[name] as { type: RunTensor["dtype"] } & Record<
          "dims" | "data",
          never
        >;
        return { dtype: type, shape: dims, data };
      });
    },
    release: () => session.release(),
  };
}
