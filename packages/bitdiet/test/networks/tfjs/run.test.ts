import * as core from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as converter from "@tensorflow/tfjs-converter";
import * as layers from "@tensorflow/tfjs-layers";
import { expect, test } from "vitest";
import { memoryFiles } from "../../../src/formats/files.js";
import { floatValues } from "../../../src/formats/floats.js";
import { readTfjs } from "../../../src/formats/tfjs.js";
import type { Model } from "../../../src/model.js";
import { findRunner } from "../../../src/networks/find-runner.js";
import type { Runner, RunTensor } from "../../../src/networks/runner.js";
import { tfjsRunner } from "../../../src/networks/tfjs/run.js";
import {
  artifactFiles,
  type Files,
  graphModelFiles,
  layersModelFiles,
  normals,
  runGraph,
  runLayers,
} from "../../formats/small-models.js";

const packages = { core, layers, converter };
const read = (files: Files) => readTfjs(memoryFiles(files), "model.json");
const feed = (shape: number[]): ReadonlyMap<string, RunTensor> =>
  new Map([
    [
      "x",
      {
        dtype: "float32",
        shape,
        data: normals(
          shape.reduce((a, b) => a * b, 1),
          99,
        ),
      } as const,
    ],
  ]);
const firstOf = (outputs: ReadonlyMap<string, RunTensor>) => [...outputs.values()][0].data as Float32Array;
const valuesOf = async (model: Model, name: string) =>
  floatValues("float32", await model.tensors.find((tensor) => tensor.name === name)!.bytes());

test("a graph model gives what TF.js gives; replaced weights count for their run alone, and no tensor stays", async () => {
  const model = await read(graphModelFiles());
  const before = core.memory().numTensors;
  const runner = await tfjsRunner(model, packages);
  expect(runner.inputs).toEqual([{ name: "x", dtype: "float32", shape: [undefined, 6, 6, 2] }]);
  const exact = await runGraph(graphModelFiles());
  const own = core.memory().numTensors;
  expect(firstOf(await runner.run(feed([2, 6, 6, 2])))).toEqual(exact);
  const half = (await valuesOf(model, "matrix")).map((value) => value / 2);
  const replaced = new Map([["matrix", half]]);
  for (let times = 0; times < 2; times++)
    expect(firstOf(await runner.run(feed([2, 6, 6, 2]), replaced))).toEqual(exact.map((value) => value / 2));
  expect(firstOf(await runner.run(feed([2, 6, 6, 2])))).toEqual(exact);
  expect(core.memory().numTensors).toBe(own);
  await runner.dispose();
  expect(core.memory().numTensors).toBe(before);
});

test("a layers model gives what TF.js gives, with its own weights and with replaced ones", async () => {
  const files = await layersModelFiles();
  const model = await read(files);
  const before = core.memory().numTensors;
  const runner = await tfjsRunner(model, packages);
  const [{ name, shape }] = runner.inputs;
  expect(shape).toEqual([undefined, 12, 12, 3]);
  const feeds = new Map([[name, feed([2, 12, 12, 3]).get("x")!]]);
  const exact = await runLayers(files);
  expect(firstOf(await runner.run(feeds))).toEqual(exact);
  const zeros = new Map([["classes/kernel", new Float32Array(30)]]);
  const outputs = firstOf(await runner.run(feeds, zeros));
  // Nothing but the biases is left: the same for both inputs.
  expect(outputs.slice(0, 5)).toEqual(outputs.slice(5));
  expect(firstOf(await runner.run(feeds))).toEqual(exact);
  await runner.dispose();
  expect(core.memory().numTensors).toBe(before);
});

test("several inputs and outputs of a layers model, ids among them, go by name", async () => {
  const ids = layers.input({ shape: [4], dtype: "int32", name: "ids" });
  const extra = layers.input({ shape: [3], name: "extra" });
  const embedded = layers.layers.embedding({ inputDim: 11, outputDim: 3, name: "table" }).apply(ids);
  const mean = layers.layers.globalAveragePooling1d({}).apply(embedded);
  const sum = layers.layers.add({ name: "sum" }).apply([mean, extra] as layers.SymbolicTensor[]);
  const net = layers.model({
    inputs: [ids, extra],
    outputs: [sum, embedded] as layers.SymbolicTensor[],
  });
  let files: Files = {};
  await net.save({
    save: async (artifacts) => {
      files = artifactFiles(artifacts);
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
    },
  });
  const runner = await tfjsRunner(await read(files), packages);
  expect(runner.inputs.map((input) => input.dtype)).toEqual(["int32", "float32"]);
  const outputs = await runner.run(
    new Map<string, RunTensor>([
      ["extra", { dtype: "float32", shape: [2, 3], data: normals(6, 1) }],
      ["ids", { dtype: "int32", shape: [2, 4], data: Int32Array.of(1, 2, 3, 4, 5, 6, 7, 8) }],
    ]),
    new Map([["table/embeddings", new Float32Array(33)]]),
  );
  expect([...outputs.values()].map((output) => output.shape)).toEqual([
    [2, 3],
    [2, 4, 3],
  ]);
  expect(firstOf(outputs)).toEqual(normals(6, 1));
  await runner.dispose();
  net.dispose();
});

test("layers give what the rest of the model makes its outputs of, and no tensor stays", async () => {
  const both = [graphModelFiles(), await layersModelFiles()];
  const before = core.memory().numTensors;
  for (const files of both) {
    const runner = await tfjsRunner(await read(files), packages);
    const own = core.memory().numTensors;
    const [{ name, shape }] = runner.inputs;
    const feeds = new Map([[name, feed([2, ...(shape!.slice(1) as number[])]).get("x")!]]);
    const last = runner.outputs[0];
    const [convolution] = runner.layers;
    const found = await runner.run(feeds, undefined, [last, convolution]);
    expect(found.get(last)!.data).toEqual(firstOf(await runner.run(feeds)));
    expect(found.get(convolution)!.shape).toHaveLength(4);
    for (const layer of runner.layers)
      expect(firstOf(await runner.run(feeds, undefined, [layer])).every(Number.isFinite)).toBe(true);
    await expect(runner.run(feeds, undefined, ["nothing"])).rejects.toThrow("got nothing");
    expect(core.memory().numTensors).toBe(own);
    await runner.dispose();
  }
  expect(core.memory().numTensors).toBe(before);
});

test("findRunner loads TF.js by itself", async () => {
  const runner = (await findRunner(await read(graphModelFiles()))) as Runner;
  expect(firstOf(await runner.run(feed([2, 6, 6, 2]))).length).toBe(10);
  await runner.dispose();
});

test("what a backend has no kernel for is run on the plain one", async () => {
  const before = core.getBackend();
  // A backend that has all but the kernel of matrix products.
  core.registerBackend("lacking", () => core.backend());
  core.copyRegisteredKernels(before, "lacking");
  core.unregisterKernel("BatchMatMul", "lacking");
  await core.setBackend("lacking");
  const runner = await tfjsRunner(await read(graphModelFiles()), packages);
  const outputs = firstOf(await runner.run(feed([2, 6, 6, 2])));
  expect(core.getBackend()).toBe("cpu");
  await runner.dispose();
  expect(outputs).toEqual(await runGraph(graphModelFiles()));
});

test("a package that is not given, and a model of another kind, are refused by name", async () => {
  const model = await read(graphModelFiles());
  await expect(tfjsRunner(model, { core, layers })).rejects.toThrow(
    "packages: expected converter for a tfjs-graph model",
  );
  await expect(tfjsRunner({ ...model, format: "onnx" }, packages)).rejects.toThrow("got onnx");
});
