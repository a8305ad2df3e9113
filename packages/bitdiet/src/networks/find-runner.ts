/**
 * A runtime for a model in Node, from the packages that are installed: ONNX Runtime or TF.js, optional peers of this one.
 *
 *     const runner = await findRunner(model);
 *     if (typeof runner === "string") console.warn(`Outputs were not checked: ${runner}`);
 */
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import type { Model } from "../model.js";
import { type OnnxRuntime, onnxRunner } from "./onnx/run.js";
import type { Runner } from "./runner.js";
import { type TfjsPackages, tfjsRunner } from "./tfjs/run.js";

/**
 * @returns a runner, or why there is none, in one line
 * @throws {RunError} if there is a runtime, but it cannot load the model
 */
export async function findRunner(model: Model): Promise<Runner | string> {
  if (model.format === "safetensors") return "safetensors files hold weights, but no network to run";
  if (model.format === "tfjs-weights") return "a manifest of weights has no network to run";
  if (model.format === "onnx") {
    const ort = await findOnnxRuntime();
    return ort ? onnxRunner(model, ort) : "onnxruntime-node is not installed (npm install onnxruntime-node)";
  }
  const packages = await findTfjs(model.format);
  return typeof packages === "string" ? packages : tfjsRunner(model, packages);
}

/** onnxruntime-node, else onnxruntime-web, from where the command runs; undefined if neither is installed. */
export async function findOnnxRuntime(): Promise<OnnxRuntime | undefined> {
  const node = await importPeer<OnnxRuntime>("onnxruntime-node");
  return node ?? (await importPeer<OnnxRuntime>("onnxruntime-web"));
}

/** TF.js with a backend: the one that is set already, else wasm, else plain JavaScript. */
async function findTfjs(format: string): Promise<TfjsPackages | string> {
  const kind = format === "tfjs-graph" ? "converter" : "layers";
  const core = await importPeer<TfjsPackages["core"]>("@tensorflow/tfjs-core");
  const loader = core && (await importPeer<object>(`@tensorflow/tfjs-${kind}`));
  if (!core || !loader) {
    const missing = `@tensorflow/tfjs-${core ? kind : "core"}`;
    return `${missing} is not installed (npm install @tensorflow/tfjs)`;
  }
  if (core.engine().backendNames().length === 0) {
    const plain = await importPeer<object>("@tensorflow/tfjs-backend-cpu");
    if (!(await useWasm(core)) && !plain)
      return "no backend of TF.js is installed (npm install @tensorflow/tfjs-backend-wasm)";
  }
  await core.ready();
  return { core, [kind]: loader };
}

async function useWasm(core: TfjsPackages["core"]): Promise<boolean> {
  const wasm = await importPeer<{ setWasmPaths(folder: string): void }>("@tensorflow/tfjs-backend-wasm");
  if (!wasm) return false;
  wasm.setWasmPaths(dirname(pathOf("@tensorflow/tfjs-backend-wasm")!) + sep);
  return core.setBackend("wasm").catch(() => false);
}

/** A package beside this one, or in the folder where the command runs; undefined if it is not installed. */
export async function importPeer<Package>(name: string): Promise<Package | undefined> {
  const path = pathOf(name);
  if (path === undefined) return undefined;
  const module = await import(pathToFileURL(path).href);
  return module.default ?? module;
}

function pathOf(name: string): string | undefined {
  for (const from of [import.meta.url, join(process.cwd(), "package.json")]) {
    try {
      return createRequire(from).resolve(name);
    } catch {
      // Not installed there.
    }
  }
  return undefined;
}
