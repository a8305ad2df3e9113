/**
 * Real models as quantizers write them: their file is never larger than brotli's, and the decoded one gives the same outputs, bit for
 * bit. Where the data is absent these tests are skipped. BITDIET_ONNX names other models, by commas.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import * as ort from "onnxruntime-web";
import { expect, test } from "vitest";
import { compressModel, memoryFiles, openBitdiet, openSource, readModel } from "../src/index.js";
import { madeUpInputs } from "../src/networks/inputs/made-up.js";
import { type CalibrationGraph, readGraph, writeGraph } from "../src/networks/onnx/graph.js";
import { prepareGraph } from "../src/networks/onnx/prepare.js";
import { type OnnxRuntime, onnxRunner } from "../src/networks/onnx/run.js";
import {
  quantizedDynamically,
  quantizedInBlocks,
  quantizedStatically,
  type Ranges,
} from "./quantize-onnx.js";

const root = join(process.env["BITDIET_DATA"] ?? "../shared/data", "models/onnx");
const wanted = process.env["BITDIET_ONNX"]?.split(",") ?? [join(root, "nanodet_m.onnx")];
const models = wanted.filter((path) => existsSync(path));
if (models.length === 0) console.warn(`No models in ${root} (set BITDIET_DATA): quantized ones are skipped.`);

const runtime = ort as never as OnnxRuntime;
const open = (file: Uint8Array) => readModel(memoryFiles({ "m.onnx": file }), "m.onnx");

test.runIf(models.length > 0).each(models)(
  "%s, quantized in several ways",
  { timeout: 600_000 },
  async (path) => {
    const graph = prepareGraph(readGraph(new Uint8Array(readFileSync(path))));
    const ranges = await rangesOf(graph);
    const hasMatrices = graph.nodes.some(
      ({ opType, inputs }) => opType === "MatMul" && graph.constants.get(inputs[1])?.shape.length === 2,
    );
    const files: [string, Uint8Array][] = [
      ["QDQ int8 per channel", quantizedStatically(graph, ranges, { perChannel: true })],
      ["QDQ int8 per tensor", quantizedStatically(graph, ranges, { perChannel: false })],
    ];
    if (hasMatrices)
      files.push(["dynamic int8", quantizedDynamically(graph)], ["MatMulNBits", quantizedInBlocks(graph)]);
    for (const [kind, file] of files) {
      const original = await open(file);
      const { bytes, report } = await compressModel(original, { quality: 85 });
      const brotli = brotliBytes(file);
      console.log(
        `${basename(path)}, ${kind}: ${file.length} B, brotli-11 ${brotli}, bitdiet ${bytes.length}`,
      );
      expect(bytes.length).toBeLessThan(brotli);
      // Floats that are left beside the integers are weights as any.
      if (report.tensors.some(({ kept }) => kept === "quantized")) continue;
      const decoded = (await openBitdiet(await openSource(bytes))).model;
      const [before, after] = [await onnxRunner(original, runtime), await onnxRunner(decoded, runtime)];
      for (const feeds of madeUpInputs(before.inputs, { count: 2, seed: 2 })) {
        const [outputs, same] = [await before.run(feeds), await after.run(feeds)];
        for (const [name, { data }] of outputs) expect(same.get(name)!.data).toEqual(data);
      }
      await Promise.all([before.dispose(), after.dispose()]);
    }
  },
);

function brotliBytes(file: Uint8Array): number {
  const { BROTLI_PARAM_QUALITY, BROTLI_PARAM_LGWIN, BROTLI_PARAM_SIZE_HINT } = constants;
  const params = {
    [BROTLI_PARAM_QUALITY]: 11,
    [BROTLI_PARAM_LGWIN]: 24,
    [BROTLI_PARAM_SIZE_HINT]: file.length,
  };
  return brotliCompressSync(file, { params }).length;
}

/** Ranges of what layers read, on made-up inputs. */
async function rangesOf(graph: CalibrationGraph): Promise<Ranges> {
  const layers = graph.nodes.filter(
    ({ inputs }) => graph.constants.get(inputs[1])?.dtype === "float32" && !graph.constants.has(inputs[0]),
  );
  const known = new Set([...graph.inputs, ...graph.outputs].map(({ name }) => name));
  const names = new Set(layers.map(({ inputs }) => inputs[0]).filter((name) => !known.has(name)));
  const outputs = [...graph.outputs, ...[...names].map((name) => ({ name }))];
  const runner = await onnxRunner(await open(writeGraph({ ...graph, outputs })), runtime);
  const ranges = new Map<string, readonly [number, number]>();
  for (const feeds of madeUpInputs(runner.inputs, { count: 4, seed: 1 })) {
    for (const [name, { dtype, data }] of [...feeds, ...(await runner.run(feeds))]) {
      if (dtype !== "float32") continue;
      let [low, high] = ranges.get(name) ?? [Infinity, -Infinity];
      for (const value of data as Float32Array) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
      ranges.set(name, [low, high]);
    }
  }
  await runner.dispose();
  return ranges;
}
