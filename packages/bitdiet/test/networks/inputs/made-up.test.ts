import * as ort from "onnxruntime-web";
import { expect, test } from "vitest";
import { memoryFiles } from "../../../src/formats/files.js";
import { readOnnx } from "../../../src/formats/onnx.js";
import type { Model } from "../../../src/model.js";
import { madeUpInputs } from "../../../src/networks/inputs/made-up.js";
import { madeUpPicture } from "../../../src/networks/inputs/pictures.js";
import { runInputs, runnableInputs } from "../../../src/networks/inputs/run.js";
import { madeUpSpeech } from "../../../src/networks/inputs/sound.js";
import { statePairs } from "../../../src/networks/inputs/states.js";
import { onnxRunner } from "../../../src/networks/onnx/run.js";
import { uniform } from "../../../src/networks/random.js";
import { RunError, type RunInput, type Runner } from "../../../src/networks/runner.js";
import { bytesOf, normals, onnxMessage } from "../../formats/small-models.js";

ort.env.wasm.numThreads = 1;

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;
const variance = (values: ArrayLike<number>) => {
  const center = mean(values);
  return mean(Array.from(values, (value) => (value - center) ** 2));
};
const correlation = (a: number[], b: number[]) => {
  const [ma, mb] = [mean(a), mean(b)];
  return mean(a.map((value, i) => (value - ma) * (b[i] - mb))) / Math.sqrt(variance(a) * variance(b));
};

test("made-up pictures have the spectrum of natural ones: each octave as strong as the next, colours alike", () => {
  const next = uniform(7);
  const size = 64;
  const bands = [0, 0, 0, 0];
  const colours: number[][] = [[], []];
  for (let n = 0; n < 20; n++) {
    const pixels = madeUpPicture({ height: size, width: size, channels: 3 }, next);
    expect(Math.min(...pixels)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...pixels)).toBeLessThanOrEqual(1);
    let plane = Array.from({ length: size * size }, (_, i) => pixels[3 * i]);
    colours[0].push(...plane);
    colours[1].push(...Array.from({ length: size * size }, (_, i) => pixels[3 * i + 1]));
    // What halving the picture takes away is its finest octave.
    for (let band = 0, width = size; band < bands.length; band++, width /= 2) {
      const half = width / 2;
      const coarse = Array.from({ length: half * half }, (_, i) => {
        const at = 2 * Math.floor(i / half) * width + 2 * (i % half);
        return (plane[at] + plane[at + 1] + plane[at + width] + plane[at + width + 1]) / 4;
      });
      bands[band] += variance(plane) - variance(coarse);
      plane = coarse;
    }
  }
  for (let band = 1; band < bands.length; band++) {
    expect(bands[band] / bands[band - 1]).toBeGreaterThan(0.5);
    expect(bands[band] / bands[band - 1]).toBeLessThan(2);
  }
  expect(correlation(colours[0], colours[1])).toBeGreaterThan(0.7);
  expect(correlation(colours[0], colours[1])).toBeLessThan(0.99);
});

test("made-up speech has loud and silent stretches, and more energy below 4 kHz than above", () => {
  const samples = madeUpSpeech(32000, 16000, uniform(3));
  const energies = Array.from({ length: 100 }, (_, i) => variance(samples.subarray(320 * i, 320 * (i + 1))));
  expect(Math.max(...energies)).toBeGreaterThan(100 * Math.min(...energies));
  expect(Math.max(...samples.map(Math.abs))).toBeLessThan(0.6);
  const high = variance(samples.subarray(1).map((value, i) => value - samples[i])) / 4;
  expect(high).toBeLessThan(0.5 * variance(samples));
});

test("the inputs of a text model are ids, a mask of ones and types of zeros, all as long as each other", () => {
  const input = (name: string): RunInput => ({
    name,
    dtype: "int64",
    shape: [undefined, undefined],
    axisNames: ["batch_size", "sequence_length"],
  });
  const feeds = madeUpInputs([input("attention_mask"), input("input_ids"), input("token_type_ids")], {
    count: 4,
    hints: { vocabulary: 50 },
  });
  for (const feed of feeds) {
    const [mask, ids, types] = ["attention_mask", "input_ids", "token_type_ids"].map(
      (name) => feed.get(name)!,
    );
    expect(ids.shape).toEqual([1, 32]);
    expect(mask.shape).toEqual([1, 32]);
    expect(new Set(mask.data as BigInt64Array)).toEqual(new Set([1n]));
    expect(new Set(types.data as BigInt64Array)).toEqual(new Set([0n]));
    const values = [...(ids.data as BigInt64Array)].map(Number);
    expect(Math.max(...values)).toBeLessThan(50);
    expect(new Set(values).size).toBeGreaterThan(10);
  }
  expect(feeds[0].get("input_ids")!.data).not.toEqual(feeds[1].get("input_ids")!.data);
});

test("pictures follow the layout and the type; caches of the past are empty; sampling rates are rates", () => {
  const feed = (input: RunInput) => madeUpInputs([input], { count: 1 })[0].get(input.name)!;
  const nchw = feed({ name: "pixel_values", dtype: "float32", shape: [undefined, 3, undefined, undefined] });
  expect(nchw.shape).toEqual([1, 3, 224, 224]);
  const pixels = nchw.data as Float32Array;
  expect(pixels.some((value) => value < -1) && pixels.some((value) => value > 1)).toBe(true);
  expect(pixels.every((value) => value > -2.2 && value < 2.7)).toBe(true);
  const bytes = feed({ name: "image", dtype: "uint8", shape: [1, 48, undefined, 3] });
  expect(bytes.shape).toEqual([1, 48, 320, 3]);
  expect((bytes.data as Uint8Array).some((value) => value > 128)).toBe(true);
  const past = feed({
    name: "past_key_values.0.key",
    dtype: "float32",
    shape: [undefined, 4, undefined, 8],
    axisNames: ["batch_size", undefined, "past_sequence_length", undefined],
  });
  expect(past.shape).toEqual([1, 4, 0, 8]);
  expect(feed({ name: "sr", dtype: "int64", shape: [] }).data).toEqual(BigInt64Array.of(16000n));
  expect(() => feed({ name: "x", dtype: "float32", shape: undefined })).toThrow(
    "inputs: x: expected a known rank",
  );
});

test("NCHW and NHWC hold the same picture", () => {
  const of = (shape: number[]) =>
    madeUpInputs([{ name: "x", dtype: "float32", shape }], { count: 1, seed: 5 })[0].get("x")!
      .data as Float32Array;
  const [planes, pixels] = [of([1, 3, 8, 9]), of([1, 8, 9, 3])];
  for (let i = 0; i < 72; i++) for (let c = 0; c < 3; c++) expect(planes[c * 72 + i]).toBe(pixels[3 * i + c]);
});

test("a state's open extent is the batch, however long the sequence is", () => {
  const inputs: RunInput[] = [
    { name: "input", dtype: "float32", shape: [undefined, undefined] },
    { name: "state", dtype: "float32", shape: [2, undefined, 128] },
    { name: "h", dtype: "float32", shape: [1, undefined, undefined] },
    { name: "past_key_values.0.key", dtype: "float32", shape: [undefined, 4, undefined, 8] },
  ];
  const [feeds] = madeUpInputs(inputs, { count: 1, hints: { length: 576 } });
  expect([...feeds.values()].map(({ shape }) => shape)).toEqual([
    [1, 576],
    [2, 1, 128],
    [1, 1, 1],
    [1, 4, 0, 8],
  ]);
});

test("ids of a sparse tensor have places in one row, one after the other", () => {
  const inputs: RunInput[] = [
    { name: "indices", dtype: "int32", shape: [undefined, 2] },
    { name: "values", dtype: "int32", shape: [undefined] },
  ];
  const [feeds] = madeUpInputs(inputs, { count: 1, hints: { length: 3, vocabulary: 9 } });
  expect(feeds.get("indices")).toEqual({
    dtype: "int32",
    shape: [3, 2],
    data: Int32Array.of(0, 0, 0, 1, 0, 2),
  });
  expect(feeds.get("values")!.shape).toEqual([3]);
  expect(Math.max(...(feeds.get("values")!.data as Int32Array))).toBeLessThan(9);
});

test("states are told from other inputs, by the names that exporters give them", () => {
  expect([...statePairs(["input", "state", "sr"], ["output", "stateN"])]).toEqual([["state", "stateN"]]);
  expect([...statePairs(["input", "h", "c"], ["output", "hn", "cn"])]).toEqual([
    ["h", "hn"],
    ["c", "cn"],
  ]);
  expect([
    ...statePairs(["mix", "conv_cache", "tra_cache"], ["enh", "conv_cache_out", "tra_cache_out"]),
  ]).toEqual([
    ["conv_cache", "conv_cache_out"],
    ["tra_cache", "tra_cache_out"],
  ]);
  expect([...statePairs(["past_key_values.0.key"], ["logits", "present.0.key", "present.0.value"])]).toEqual([
    ["past_key_values.0.key", "present.0.key"],
  ]);
  expect([...statePairs(["input_1"], ["output_1"])]).toEqual([]);
});

/** A step of a recurrent model: it takes rows of 512 samples and no other, and counts its steps in its state. */
async function recurrentModel() {
  const value = (name: string, dim: object[]) => ({
    name,
    type: { tensor: { elementType: 1, shape: { dim } } },
  });
  const ones = { dims: [1, 4], dataType: 1, name: "one", floatData: [1, 1, 1, 1] };
  const matrix = { dims: [512, 4], dataType: 1, name: "matrix", rawData: bytesOf(normals(2048, 1)) };
  const graph = {
    name: "step",
    node: [
      { input: ["samples", "matrix"], output: ["seen"], opType: "MatMul" },
      { input: ["state", "one"], output: ["stateN"], opType: "Add" },
      {
        input: ["seen", "stateN"],
        output: ["y"],
        opType: "Concat",
        attribute: [{ name: "axis", i: 1, type: 2 }],
      },
    ],
    initializer: [matrix, ones],
    input: [
      value("samples", [{ value: 1 }, { param: "length" }]),
      value("state", [{ value: 1 }, { value: 4 }]),
    ],
    output: [value("y", [{ value: 1 }, { value: 8 }]), value("stateN", [{ value: 1 }, { value: 4 }])],
  };
  const bytes = onnxMessage("Model", { irVersion: 8, opset: [{ domain: "", version: 13 }], graph });
  return readOnnx(memoryFiles({ "model.onnx": bytes }), "model.onnx");
}

test("a length that the model takes is found, and its state goes from step to step", async () => {
  const model = await recurrentModel();
  const runner = await onnxRunner(model, ort);
  const feeds = await runnableInputs(runner, model, { count: 3 });
  // Eight steps for one input.
  expect(feeds.map((feed) => String(feed.get("samples")!.shape))).toEqual(new Array(24).fill("1,512"));
  const outputs = await runInputs(runner, feeds);
  expect(outputs.every((output) => String([...output.keys()]) === "y")).toBe(true);
  expect(outputs.slice(0, 3).map((output) => (output.get("y")!.data as Float32Array)[7])).toEqual([1, 2, 3]);
  await runner.dispose();
});

test("pictures of any size are made smaller until a run is quick, as far as the model takes them", async () => {
  /** Takes a second for every 10,000 pixels, and refuses sides under `least`. */
  const network = (extent: number | undefined, least: number) => {
    let seconds = 0;
    const runner: Runner = {
      inputs: [{ name: "x", dtype: "float32", shape: [1, extent, extent, 3] }],
      outputs: ["y"],
      layers: [],
      async run(feeds) {
        const [, height, width] = feeds.get("x")!.shape;
        if (height < least) throw new RunError("too small");
        seconds += (height * width) / 10_000;
        return new Map();
      },
      async dispose() {},
    };
    return { runner, clock: () => seconds };
  };
  const model: Model = { format: "onnx", metadata: {}, tensors: [] };
  const sideOf = async (extent: number | undefined, least: number, slow?: number) => {
    const { runner, clock } = network(extent, least);
    const [feeds] = await runnableInputs(runner, model, { count: 1, slow, clock });
    return feeds.get("x")!.shape[1];
  };
  expect(await sideOf(undefined, 1)).toBe(224);
  expect(await sideOf(undefined, 1, 10)).toBe(224);
  expect(await sideOf(undefined, 1, 2)).toBe(112);
  expect(await sideOf(undefined, 100, 0.01)).toBe(112);
  expect(await sideOf(200, 1, 2)).toBe(200);
});

test("steps of a model with a state hear one sound, piece by piece", () => {
  const inputs = [
    { name: "samples", dtype: "float32", shape: [1, 400] },
    { name: "state", dtype: "float32", shape: [1, 4] },
    { name: "sr", dtype: "int64", shape: [] },
  ] as const;
  const heard = (given: readonly RunInput[]) =>
    madeUpInputs(given, { count: 5, seed: 3 }).flatMap((feed) => [
      ...(feed.get("samples")!.data as Float32Array),
    ]);
  expect(heard(inputs)).toEqual([...madeUpSpeech(2000, 16000, uniform(3))]);
  expect(heard([inputs[0], inputs[2]])).not.toEqual(heard(inputs));
});

test("a model that takes strings is given texts", () => {
  const feeds = madeUpInputs([{ name: "text", dtype: "string", shape: [undefined] }], { count: 3 });
  const texts = feeds.map((feed) => feed.get("text")!);
  for (const { shape, data } of texts) {
    expect(shape).toEqual([1]);
    expect((data as string[])[0].split(/\W+/).length).toBeGreaterThan(10);
  }
  expect(new Set(texts.map(({ data }) => String(data))).size).toBe(3);
});
