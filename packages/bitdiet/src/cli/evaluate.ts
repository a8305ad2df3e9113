/**
 * Scores of a model by a module of the user's: `export default async function ({ path, format, tensors }) { return accuracy; }`.
 *
 *     const score = await loadEvaluation("eval.js");
 *     await score(model); // 0.915
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { writeModel } from "../formats/list.js";
import { writeFiles } from "../formats/node-files.js";
import type { Model } from "../model.js";
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
  const evaluate = await importDefault(path, "--evaluate");
  return async (model) => {
    const folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
    try {
      const files = [...(await writeFiles(writeModel(model), folder)).keys()];
      const main = files.find((file) => file.endsWith(".json")) ?? files[0];
      const tensors = Object.fromEntries(
        model.tensors.map(({ name, dtype, shape, bytes }) => [name, { dtype, shape, bytes }]),
      );
      const score = await evaluate({ path: join(folder, main), format: model.format, tensors });
      if (typeof score !== "number" || Number.isNaN(score))
        throw new UsageError(`--evaluate: expected a number from ${path}, got ${score}`);
      return score;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  };
}

/** The function that a module exports as default. */
export async function importDefault(
  path: string,
  option: string,
): Promise<(argument: EvaluatedModel) => unknown> {
  const module = await import(pathToFileURL(resolve(path)).href).catch((error) => {
    throw new UsageError(`${option}: ${path} cannot be loaded: ${error.message}`);
  });
  if (typeof module.default !== "function")
    throw new UsageError(
      `${option}: expected ${path} to export a function as default, got ${typeof module.default}`,
    );
  return module.default;
}
