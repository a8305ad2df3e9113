/**
 * Models that come quantized: bytes of the .bitdiet file beside brotli-11 of the same .onnx file, and whether the decoded one gives
 * the very same outputs.
 *
 * BITDIET_MODELS names some, by commas.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compressModel, memoryFiles, openBitdiet, openSource, readModel } from "bitdiet";
import { findOnnxRuntime } from "bitdiet/node";
import { madeUpInputs, onnxRunner } from "bitdiet/run";
import { type CalibrationGraph, readGraph, writeGraph } from "../../bitdiet/src/networks/onnx/graph.js";
import { prepareGraph } from "../../bitdiet/src/networks/onnx/prepare.js";
import {
  quantizedDynamically,
  quantizedInBlocks,
  quantizedStatically,
  type Ranges,
} from "./quantized-models/quantize-onnx.js";
import { brotliBytes } from "./real-models/baselines.js";
import { subjects } from "./real-models/subjects.js";
import { markdownTable, sourceOf } from "./report.js";

const OUT = join(import.meta.dirname, "../out/quantized-models");
const CALIBRATING = 4;
const JUDGING = 4;

type Row = {
  model: string;
  kind: string;
  file: number;
  brotli: number;
  bitdiet: number;
  smallest: number;
  ratio: string;
  outputs: string;
};

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  mkdirSync(OUT, { recursive: true });
  const wanted = process.env.BITDIET_MODELS?.split(",");
  const rows: Row[] = [];
  for (const { name, path } of subjects.filter(({ name }) => !wanted || wanted.includes(name))) {
    const file = await path();
    if (file === undefined || !file.endsWith(".onnx")) continue;
    for (const [kind, bytes] of await quantizedFiles(file)) {
      writeFileSync(join(OUT, `${name} ${kind}.onnx`), bytes);
      const row = await measured(name, kind, bytes).catch((error: Error) => error.message.split("\n")[0]);
      if (typeof row === "string") {
        console.log(`${name}, ${kind}: ${row}`);
        continue;
      }
      rows.push(row);
      console.log(markdownTable(rows.slice(-1)));
    }
    if (quick) break;
  }
  return { ...sourceOf("quantized-models"), rows };
}

/** The model as a quantizer writes it; where it has no matrices, only in the first two ways. */
async function quantizedFiles(path: string): Promise<[string, Uint8Array][]> {
  const graph = prepareGraph(readGraph(new Uint8Array(readFileSync(path))));
  const ranges = await rangesOf(graph);
  const files: [string, Uint8Array][] = [
    ["QDQ int8 per channel", quantizedStatically(graph, ranges, { perChannel: true })],
    ["QDQ int8 per tensor", quantizedStatically(graph, ranges, { perChannel: false })],
  ];
  const hasMatrices = graph.nodes.some(
    ({ opType, inputs }) => opType === "MatMul" && graph.constants.get(inputs[1])?.shape.length === 2,
  );
  if (!hasMatrices) return files;
  return [
    ...files,
    ["dynamic int8", quantizedDynamically(graph)],
    ["MatMulNBits 4 bits", quantizedInBlocks(graph)],
  ];
}

async function rangesOf(graph: CalibrationGraph): Promise<Ranges> {
  const layers = graph.nodes.filter(
    ({ inputs }) => graph.constants.get(inputs[1])?.dtype === "float32" && !graph.constants.has(inputs[0]),
  );
  const given = new Set(graph.inputs.map(({ name }) => name));
  const known = new Set(graph.outputs.map(({ name }) => name));
  const names = new Set(layers.map(({ inputs }) => inputs[0]).filter((name) => !given.has(name)));
  const outputs = [
    ...graph.outputs,
    ...[...names].filter((name) => !known.has(name)).map((name) => ({ name })),
  ];
  const model = await readModel(memoryFiles({ "m.onnx": writeGraph({ ...graph, outputs }) }), "m.onnx");
  const runner = await onnxRunner(model, (await findOnnxRuntime())!);
  const ranges = new Map<string, readonly [number, number]>();
  for (const feeds of madeUpInputs(runner.inputs, { count: CALIBRATING, seed: 1 })) {
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

async function measured(model: string, kind: string, file: Uint8Array): Promise<Row> {
  const original = await readModel(memoryFiles({ "m.onnx": file }), "m.onnx");
  const { bytes } = await compressModel(original, { quality: 100 });
  const smallest = (await compressModel(original, { quality: 100 }, { minGain: 0 })).bytes.length;
  const decoded = (await openBitdiet(await openSource(bytes))).model;
  const ort = (await findOnnxRuntime())!;
  const [before, after] = await Promise.all([onnxRunner(original, ort), onnxRunner(decoded, ort)]);
  let same = 0;
  for (const feeds of madeUpInputs(before.inputs, { count: JUDGING, seed: 2 })) {
    const [a, b] = [await before.run(feeds), await after.run(feeds)];
    if ([...a].every(([name, { data }]) => areEqual(data, b.get(name)!.data))) same++;
  }
  await Promise.all([before.dispose(), after.dispose()]);
  const brotli = brotliBytes(file);
  return {
    model,
    kind,
    file: file.length,
    brotli,
    bitdiet: bytes.length,
    smallest,
    ratio: [bytes.length, smallest].map((size) => (size / brotli).toFixed(3)).join(", "),
    outputs: `${same} of ${JUDGING} identical`,
  };
}

const areEqual = (a: unknown, b: unknown): boolean => {
  const view = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);
  return view(a as ArrayBufferView).equals(view(b as ArrayBufferView));
};
