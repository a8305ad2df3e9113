/**
 * Scores of a model by a module of the user's: `export default async function ({ path, format, tensors }) { return accuracy; }`.
 *
 *     const score = await loadEvaluation("eval.js");
 *     await score(model); // 0.915
 */
import { join } from "node:path";
import { writeModel } from "../formats/list.js";
import { writeFiles } from "../formats/node-files.js";
import { withTemporaryFolder } from "../formats/whole-files.js";
import type { Model } from "../model.js";
import { loadHook } from "./hook.js";
import { UsageError } from "./options.js";

/** What an evaluation is given. */
export interface EvaluatedModel {
  /** The model in its own format: the path of its model.json, .safetensors (or index) or .onnx. Gone after the evaluation. */
  path: string;
  format: Model["format"];
  /** By name; `bytes` are little-endian and row-major. */
  tensors: Record<string, { dtype: string; shape: number[]; bytes(): Promise<Uint8Array> }>;
}

/** @throws {UsageError} if the module cannot be loaded or exports no function */
export async function loadEvaluation(path: string): Promise<(model: Model) => Promise<number>> {
  const evaluate = await loadHook<EvaluatedModel>("--evaluate", path);
  return (model) =>
    withTemporaryFolder(async (folder) => {
      const files = [...(await writeFiles(writeModel(model), folder)).keys()];
      const main = files.find((file) => file.endsWith(".json")) ?? files[0];
      const tensors = Object.fromEntries(
        model.tensors.map(({ name, dtype, shape, bytes }) => [name, { dtype, shape, bytes }]),
      );
      const score = await evaluate({ path: join(folder, main), format: model.format, tensors });
      if (typeof score !== "number" || !Number.isFinite(score))
        throw new UsageError(`--evaluate: expected a finite number from ${path}, got ${score}`);
      return score;
    });
}
