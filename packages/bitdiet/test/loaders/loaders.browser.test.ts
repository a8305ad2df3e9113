/** The loader as browsers use it: Files, Blobs and URLs of them. Runs in Node, too. */
import { expect, test } from "vitest";
import { compressModel } from "../../src/compress.js";
import { encodeModel } from "../../src/file/encode.js";
import { memoryFiles } from "../../src/formats/files.js";
import { readTfjs } from "../../src/formats/tfjs.js";
import { fromBitdiet } from "../../src/loaders/tfjs.js";

const weights = [
  { name: "dense/kernel", shape: [50, 40], dtype: "float32" },
  { name: "dense/bias", shape: [40], dtype: "float32" },
  { name: "steps", shape: [3], dtype: "int32" },
];
const kernel = Float32Array.from({ length: 2000 }, (_, i) => (((i * 7919) % 1009) - 504) / (1000 + (i % 40)));
const bias = Float32Array.from({ length: 40 }, (_, i) => (i - 20) / 8);
const json = {
  modelTopology: { class_name: "Sequential" },
  weightsManifest: [{ paths: ["w.bin"], weights }],
};

async function compressed(): Promise<Uint8Array<ArrayBuffer>> {
  const files = memoryFiles({
    "model.json": new File([JSON.stringify(json)], "model.json"),
    "w.bin": new Blob([kernel, bias, Int32Array.of(1, -2, 3)]),
  });
  const { bytes } = await compressModel(await readTfjs(files, "model.json"), { quality: 50 });
  return bytes.slice();
}

test("a File, its URL and its bytes load alike", async () => {
  const bytes = await compressed();
  const file = new File([bytes], "model.bitdiet");
  const url = URL.createObjectURL(file);
  for (const source of [bytes, bytes.buffer, file, new Blob([bytes]), url]) {
    const fractions: number[] = [];
    const options = { onProgress: (fraction: number) => void fractions.push(fraction), fetchFunc: fetch };
    const artifacts = await fromBitdiet(source, options).load!();
    expect(artifacts.modelTopology).toEqual(json.modelTopology);
    expect(artifacts.weightSpecs).toEqual(weights);
    const buffer = artifacts.weightData as ArrayBuffer;
    const decoded = new Float32Array(buffer, 0, kernel.length);
    const error = kernel.reduce((total, value, i) => total + (value - decoded[i]) ** 2, 0);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.02 * kernel.reduce((total, value) => total + value ** 2, 0));
    expect(new Float32Array(buffer, 4 * kernel.length, bias.length)).toEqual(bias);
    expect(new Int32Array(buffer, 4 * (kernel.length + bias.length))).toEqual(Int32Array.of(1, -2, 3));
    expect(fractions.at(-1)).toBe(1);
  }
  URL.revokeObjectURL(url);
});

test("a truncated file gives a readable message", async () => {
  const bytes = await compressed();
  const loading = fromBitdiet(new File([bytes.slice(0, 700)], "model.bitdiet")).load!();
  await expect(loading).rejects.toThrow(/^model\.bitdiet: cut: 700 bytes of a file of \d+$/);
});

test("Workers decode what this thread would, or this thread does where there are none", async () => {
  const bytes = await compressed();
  const here = await fromBitdiet(bytes).load!();
  let [started, answers] = [0, 0];
  const worker = () => {
    const made = new Worker(new URL("../../src/worker.ts", import.meta.url), { type: "module" });
    made.addEventListener("message", () => void answers++);
    started++;
    return made;
  };
  for (const workers of [1, 2, 8]) {
    [started, answers] = [0, 0];
    const loaded = await fromBitdiet(bytes, { worker, workers }).load!();
    expect(loaded.weightData).toEqual(here.weightData);
    // Not more Workers than there are tensors; none in Node, which has no such class.
    const expected = typeof Worker === "undefined" ? [0, 0] : [Math.min(workers, 3), 3];
    expect([started, answers]).toEqual(expected);
  }
  const nowhere = () => new Worker("data:text/javascript,throw 1", { type: "module" });
  expect((await fromBitdiet(bytes, { worker: nowhere }).load!()).weightData).toEqual(here.weightData);
});

test("a Worker of this package's own decodes files that are worth it", async () => {
  const tensor = (name: string, rows: number) => ({
    name,
    dtype: "float32" as const,
    quantized: {
      shape: [rows, 1024],
      integers: Int32Array.from({ length: 1024 * rows }, (_, i) => ((i * i) % 7) - 3),
      axis: 0,
      steps: Float32Array.of(0.5),
    },
  });
  const text = (name: string, content: string) => ({ name, bytes: new TextEncoder().encode(content) });
  const metadata = [
    text("format", "tfjs-graph"),
    text("model.json", '{"modelTopology":{"node":[]},"weightsManifest":[]}'),
  ];
  const fileOf = (rows: number) =>
    encodeModel(
      { metadata, tensors: [tensor("a", rows), tensor("b", rows), tensor("c", 3)] },
      { minGain: 1 },
    );
  let [started, answers] = [0, 0];
  const original = globalThis.Worker;
  if (original)
    globalThis.Worker = class extends original {
      constructor(url: string | URL, options?: WorkerOptions) {
        super(url, options);
        started++;
        this.addEventListener("message", () => void answers++);
      }
    };
  try {
    for (const [rows, workers, expected] of [
      [1100, undefined, 2],
      [300, undefined, 1],
      [300, 2, 2],
      [300, 0, 0],
      [60, undefined, 0],
    ] as const) {
      [started, answers] = [0, 0];
      const { weightData } = await fromBitdiet(fileOf(rows), { workers }).load!();
      const values = new Float32Array(weightData as ArrayBuffer);
      expect(values.length).toBe(1024 * (2 * rows + 3));
      expect(values.subarray(0, 7)).toEqual(Float32Array.of(-1.5, -1, 0.5, -0.5, -0.5, 0.5, -1));
      // There are none in Node.
      expect([started, answers]).toEqual(original ? [expected, expected && 3] : [0, 0]);
    }
  } finally {
    globalThis.Worker = original;
  }
});
