import * as ort from "onnxruntime-web";
import { afterEach, expect, test } from "vitest";
import { memoryFiles } from "../../../src/formats/files.js";
import { floatValues } from "../../../src/formats/floats.js";
import { readOnnx } from "../../../src/formats/onnx.js";
import { findRunner } from "../../../src/networks/find-runner.js";
import { onnxRunner } from "../../../src/networks/onnx/run.js";
import { RunError, type Runner, type RunTensor } from "../../../src/networks/runner.js";
import { bytesOf, type Files, normals, onnxMessage, onnxModel } from "../../formats/small-models.js";

ort.env.wasm.numThreads = 1;

const read = (files: Files) => readOnnx(memoryFiles(files), "model.onnx");
const feeds = new Map<string, RunTensor>([
  ["x", { dtype: "float32", shape: [1, 3, 6, 6], data: normals(108, 99) }],
]);
const valuesOf = (outputs: ReadonlyMap<string, RunTensor>, name = "y") => [
  ...(outputs.get(name)!.data as Float32Array),
];

let runner: Runner;
afterEach(() => runner.dispose());

/** y = table[ids] + state, state2 = state * 2: int64 ids, a batch and a length that may be any, two outputs. */
function stateModel(): Files {
  const value = (name: string, elementType: number, dim: object[]) => ({
    name,
    type: { tensor: { elementType, shape: { dim } } },
  });
  const any = (param: string) => ({ param });
  return {
    "model.onnx": onnxMessage("Model", {
      irVersion: 8,
      opset: [{ domain: "", version: 13 }],
      graph: {
        name: "net",
        node: [
          { input: ["table", "ids"], output: ["e"], opType: "Gather" },
          { input: ["e", "state"], output: ["y"], opType: "Add" },
          { input: ["state", "state"], output: ["next"], opType: "Add" },
        ],
        initializer: [{ dims: [20, 8], dataType: 1, name: "table", rawData: bytesOf(normals(160, 5)) }],
        input: [
          value("ids", 7, [any("batch"), any("length")]),
          value("state", 1, [any("batch"), { value: 1 }, { value: 8 }]),
        ],
        output: [
          value("y", 1, [any("batch"), any("length"), { value: 8 }]),
          value("next", 1, [any("batch"), { value: 1 }, { value: 8 }]),
        ],
      },
    }),
  };
}

test.each([false, true])(
  "a model gives what its own session gives (weights in a file beside it: %s)",
  async (external) => {
    runner = await onnxRunner(await read(onnxModel({ external })), ort);
    expect(runner.inputs).toMatchObject([{ name: "x", dtype: "float32", shape: [1, 3, 6, 6] }]);
    const session = await ort.InferenceSession.create(onnxModel()["model.onnx"]);
    const { y } = await session.run({ x: new ort.Tensor("float32", normals(108, 99), [1, 3, 6, 6]) });
    expect(valuesOf(await runner.run(feeds))).toEqual([...(y.data as Float32Array)]);
    await session.release();
  },
);

test("replaced weights count for their run alone, and those of half of a layer's values give half of its output", async () => {
  const model = await read(onnxModel());
  runner = await onnxRunner(model, ort);
  const before = valuesOf(await runner.run(feeds));
  const matrix = model.tensors.find(({ name }) => name === "matrix")!;
  const half = floatValues("float32", await matrix.bytes()).map((value) => value / 2);
  const replaced = new Map([["matrix", half]]);
  for (let times = 0; times < 2; times++)
    expect(valuesOf(await runner.run(feeds, replaced))).toEqual(before.map((value) => value / 2));
  const zeros = new Map([["matrix", half.map(() => 0)]]);
  expect(Math.max(...valuesOf(await runner.run(feeds, zeros)).map(Math.abs))).toBe(0);
  expect(valuesOf(await runner.run(feeds))).toEqual(before);
});

test("layers give what the rest of the model makes its outputs of", async () => {
  const model = await read(onnxModel({ external: true }));
  runner = await onnxRunner(model, ort);
  expect(runner.layers).toEqual(["c", "r"]);
  const found = await runner.run(feeds, undefined, ["r", "y", "c"]);
  expect([...found.keys()]).toEqual(["r", "y", "c"]);
  expect(found.get("c")!.shape).toEqual([1, 8, 4, 4]);
  expect(valuesOf(found, "r")).toEqual(valuesOf(found, "c").map((value) => Math.max(0, value)));
  expect(valuesOf(found)).toEqual(valuesOf(await runner.run(feeds)));
  const kernel = normals(8 * 3 * 9, 1, 0.3).map((value) => -value);
  const other = await runner.run(feeds, new Map([["kernel", kernel]]), ["c"]);
  const bias = normals(8, 2);
  const mirrored = valuesOf(found, "c").map((value, i) => 2 * bias[Math.floor(i / 16)] - value);
  for (const [i, value] of valuesOf(other, "c").entries()) expect(value).toBeCloseTo(mirrored[i], 5);
  await expect(runner.run(feeds, undefined, ["f"])).rejects.toThrow(
    "wanted: expected outputs (y) or layers, got f",
  );
});

test("int64 ids, a state, axes of any extent and several outputs are fed and found by name", async () => {
  const model = await read(stateModel());
  runner = await onnxRunner(model, ort);
  expect(runner.inputs).toEqual([
    { name: "ids", dtype: "int64", shape: [undefined, undefined], axisNames: ["batch", "length"] },
    { name: "state", dtype: "float32", shape: [undefined, 1, 8], axisNames: ["batch", undefined, undefined] },
  ]);
  expect(runner.outputs).toEqual(["y", "next"]);
  const state = normals(16, 3);
  const outputs = await runner.run(
    new Map<string, RunTensor>([
      ["ids", { dtype: "int64", shape: [2, 3], data: BigInt64Array.of(0n, 1n, 2n, 3n, 4n, 19n) }],
      ["state", { dtype: "float32", shape: [2, 1, 8], data: state }],
    ]),
  );
  const table = normals(160, 5);
  expect(outputs.get("y")!.shape).toEqual([2, 3, 8]);
  expect(valuesOf(outputs).at(-1)).toBeCloseTo(table[159] + state[15], 6);
  expect(valuesOf(outputs, "next")).toEqual([...state.map((value) => 2 * value)]);
});

test("what does not fit is refused by name", async () => {
  runner = await onnxRunner(await read(onnxModel()), ort);
  await expect(runner.run(new Map())).rejects.toThrow("expected a tensor x, float32 of [1,3,6,6], got ");
  const wrong = new Map([["x", { ...feeds.get("x")!, shape: [1, 3, 6, 18] }]]);
  await expect(runner.run(wrong)).rejects.toThrow(
    "feeds: x: expected float32 of [1,3,6,6], got float32 of [1,3,6,18]",
  );
  await expect(runner.run(feeds, new Map([["matrx", normals(4, 1)]]))).rejects.toThrow(
    "replaced: the model has no tensor matrx",
  );
  await expect(runner.run(feeds, new Map([["matrix", normals(4, 1)]]))).rejects.toThrow(
    "replaced: matrix: expected 1280 values, got 4",
  );
  const model = await read(onnxModel());
  await expect(onnxRunner({ ...model, format: "safetensors" }, ort)).rejects.toThrow("got safetensors");
});

test("findRunner finds ONNX Runtime, and says why a model without a network is not run", async () => {
  const model = await read(onnxModel());
  runner = (await findRunner(model)) as Runner;
  expect(valuesOf(await runner.run(feeds)).length).toBe(10);
  expect(await findRunner({ ...model, format: "safetensors" })).toMatch(/no network/);
});

test("a graph that the runtime does not take is a RunError", async () => {
  const model = await read(onnxModel());
  const broken = {
    ...model,
    tensors: model.tensors.map((tensor) => ({ ...tensor, bytes: async () => new Uint8Array(4) })),
  };
  runner = await onnxRunner(model, ort);
  await expect(onnxRunner(broken, ort)).rejects.toThrow(RunError);
});
