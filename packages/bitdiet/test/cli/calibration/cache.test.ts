import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Measured, memory, rememberList } from "../../../src/cli/calibration/cache.js";
import type { Model } from "../../../src/model.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitdiet-cache-"));
});
afterAll(() => rm(folder, { recursive: true }));

const modelOf = (weight: number) =>
  ({
    format: "onnx",
    metadata: { "graph.onnx": Uint8Array.of(1, 2) },
    tensors: [{ name: "w", shape: [1], dtype: "float32", bytes: async () => Uint8Array.of(weight) }],
  }) as unknown as Model;
const feedsOf = (value: number) => [
  new Map([["x", { dtype: "float32" as const, shape: [1], data: Float32Array.of(value) }]]),
];

test("what was measured is read again: of the same weights, the same inputs, under the same name, and whole", async () => {
  let measurements = 0;
  const measured: Measured = new Map([["w", Float64Array.of(0.1, 1e-300, -2)]]);
  const make = async () => {
    measurements++;
    return measured;
  };
  const ask = async (weight: number, value: number, what = "losses") =>
    (await memory(folder, modelOf(weight), feedsOf(value)))(what, make);
  expect(await ask(1, 2)).toEqual(measured);
  expect(await ask(1, 2)).toEqual(measured);
  expect(measurements).toBe(1);
  await ask(3, 2);
  await ask(1, 4);
  await ask(1, 2, "sensitivities");
  expect(measurements).toBe(4);
  for (const name of await readdir(folder)) await writeFile(join(folder, name), '[["w", [1, null]]]');
  expect(await ask(1, 2)).toEqual(measured);
  expect(measurements).toBe(5);
  // Numbers that somebody or something changed are none that were measured.
  for (const name of await readdir(folder)) {
    const text = await readFile(join(folder, name), "utf8");
    await writeFile(join(folder, name), text.replace("0.1", "0.2"));
  }
  expect(await ask(1, 2)).toEqual(measured);
  expect(measurements).toBe(6);
  const list = rememberList(await memory(folder, modelOf(9)), "list");
  const layers = [Float64Array.of(1, 2), Float64Array.of(3)];
  expect(await list(async () => layers)).toEqual(layers);
  expect(await list(async () => [])).toEqual(layers);
});
