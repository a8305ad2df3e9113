import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { calibrationData, type DataOptions } from "../../../src/cli/calibration/data.js";
import { UsageError } from "../../../src/cli/options.js";
import type { Model } from "../../../src/model.js";
import { npyArray } from "../../../src/networks/inputs/npy.js";
import type { RunInput, Runner } from "../../../src/networks/runner.js";

// Saved by NumPy 2.4.6: np.save of [[0, .25, .5], [.75, 1, 1.25]] as <f4 (in C and in Fortran order), [[101, 7592, 102], [101, 2088,
// 102]] as <i8, [.5, -2] as <f2; np.savez_compressed(x=[[0, 1], [2, 3]] as <f4, n=[[3], [5]] as <i8).
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text, "base64"));
const HEAD = "k05VTVBZAQB2AHsnZGVzY3InOiAn";
const FLOATS = bytesOf(
  `${HEAD}PGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAACAPgAAAD8AAEA/AACAPwAAoD8=`,
);
const FORTRAN = bytesOf(
  `${HEAD}PGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBUcnVlLCAnc2hhcGUnOiAoMiwgMyksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAABAQAAAgD8AAIBAAAAAQAAAoEA=`,
);
const IDS = bytesOf(
  `${HEAD}PGk4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAplAAAAAAAAAKgdAAAAAAAAZgAAAAAAAABlAAAAAAAAACgIAAAAAAAAZgAAAAAAAAA=`,
);
const HALVES = bytesOf(
  `${HEAD}PGYyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsKSwgfSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAOADA`,
);
const ARCHIVE = bytesOf(
  "UEsDBC0AAAAIAAAAIQCR9Ofb//////////8FABQAeC5ucHkBABAAkAAAAAAAAABQAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TZqKuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GkY6CkaaOgq1CmQDLgYwaLAHEg5A5AAAUEsDBC0AAAAIAAAAIQCOReV1//////////8FABQAbi5ucHkBABAAkAAAAAAAAABMAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TaaGuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GkY6CoaaOgq1CmQDLmYGCGCF0gBQSwECLQMtAAAACAAAACEAkfTn21AAAACQAAAABQAAAAAAAAAAAAAAgAEAAAAAeC5ucHlQSwECLQMtAAAACAAAACEAjkXldUwAAACQAAAABQAAAAAAAAAAAAAAgAGHAAAAbi5ucHlQSwUGAAAAAAIAAgBmAAAACgEAAAAA",
);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitdiet-calibration-"));
});
afterAll(() => rm(folder, { recursive: true }));

const model = { format: "onnx", metadata: {}, tensors: [] } as Model;
const runnerOf = (...inputs: RunInput[]) => ({ inputs, outputs: ["y"] }) as unknown as Runner;
const load = async (path: string, runner: Runner, options: Partial<DataOptions> = {}) => {
  const data = await calibrationData(path, { count: 128, bgr: false, folder, ...options });
  return (await data.feeds(runner, model))!;
};

test("arrays of NumPy are read as NumPy has them", () => {
  expect(npyArray(FLOATS)).toEqual({
    shape: [2, 3],
    values: Float32Array.of(0, 0.25, 0.5, 0.75, 1, 1.25),
  });
  expect([...npyArray(IDS).values]).toEqual([101, 7592, 102, 101, 2088, 102]);
  expect([...npyArray(HALVES).values]).toEqual([0.5, -2]);
  expect(() => npyArray(FORTRAN)).toThrow("C order");
  expect(() => npyArray(FLOATS.subarray(0, -1))).toThrow("expected 24 bytes for the shape [2,3], got 23");
  expect(() => npyArray(new Uint8Array(40))).toThrow("expected an array of NumPy");
  const strange = FLOATS.slice();
  strange.set(new TextEncoder().encode("<c8"), 21);
  expect(() => npyArray(strange)).toThrow("got <c8");
});

test("an archive of arrays gives a run for each input, in the model's types", async () => {
  await writeFile(join(folder, "a.npz"), ARCHIVE);
  const x = { name: "x", dtype: "float32", shape: [undefined, 2] } as const;
  const n = { name: "n", dtype: "int64", shape: [undefined, 1] } as const;
  const [, second, ...more] = await load(join(folder, "a.npz"), runnerOf(x, n));
  expect(more).toEqual([]);
  expect(second.get("x")).toEqual({ dtype: "float32", shape: [1, 2], data: Float32Array.of(2, 3) });
  expect(second.get("n")).toEqual({ dtype: "int64", shape: [1, 1], data: BigInt64Array.of(5n) });
  await expect(load(join(folder, "a.npz"), runnerOf(x))).rejects.toThrow(
    "--calibrate: expected inputs x, got n",
  );
  await writeFile(join(folder, "bad.npz"), ARCHIVE.subarray(0, 100));
  await expect(load(join(folder, "bad.npz"), runnerOf(x))).rejects.toThrow(UsageError);
});

test("pictures become what preprocessor_config.json or the user says", async () => {
  const pictures = join(folder, "pictures");
  const { mkdir } = await import("node:fs/promises");
  await mkdir(pictures);
  for (const [i, [r, g, b]] of [
    [255, 0, 51],
    [0, 102, 255],
    [153, 153, 0],
  ].entries())
    await sharp({ create: { width: 5, height: 7, channels: 3, background: { r, g, b } } })
      .png()
      .toFile(join(pictures, `${i}.png`));
  const input = { name: "pixel_values", dtype: "float32", shape: [undefined, 3, 2, 2] } as const;
  const valuesOf = async (options: Partial<DataOptions>, shape: RunInput["shape"] = input.shape) => {
    const feeds = await load(pictures, runnerOf({ ...input, shape }), options);
    return feeds.map((feed) => {
      const { data } = feed.get("pixel_values")!;
      return [...(data as Float32Array)].map((value) => Number(value.toFixed(4)));
    });
  };
  const four = (...channels: number[]) => channels.flatMap((value) => [value, value, value, value]);
  // (1 - .5) / .25, (0 - .25) / .5, (.2 - 0) / 1
  const own = { mean: [0.5, 0.25, 0], std: [0.25, 0.5, 1] };
  expect((await valuesOf(own))[0]).toEqual(four(2, -0.5, 0.2));
  expect((await valuesOf({ ...own, bgr: true }))[0]).toEqual(four(-1.2, -0.5, 1));
  expect((await valuesOf(own, [1, 1, 2, 3]))[0].slice(0, 3)).toEqual([2, -0.5, 0.2]);
  expect(await valuesOf({ ...own, count: 2 })).toHaveLength(2);
  await writeFile(
    join(folder, "preprocessor_config.json"),
    '{"image_mean": [0.2, 0.2, 0.2], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 0.00392156862745098}',
  );
  expect((await valuesOf({}))[0]).toEqual(four(1.6, -0.4, 0));
  // Pixels of 0 to 255, as some models take them.
  expect((await valuesOf({ std: [1 / 255] }))[1]).toEqual(four(0, 102, 255));
  await expect(valuesOf({ layout: "NHWC" })).rejects.toThrow(
    "--calibrate: layout NHWC: the model takes pictures of [1,3,2,2]",
  );
  await expect(load(folder, runnerOf({ ...input, shape: [1, 5] }))).rejects.toThrow("takes no pictures");
});

test("texts are tokenised, cut off or filled up to the model's length, with masks to match", async () => {
  const ids = { name: "input_ids", dtype: "int64", shape: [1, 4] } as const;
  const mask = { name: "attention_mask", dtype: "int64", shape: [1, 4] } as const;
  const types = { name: "token_type_ids", dtype: "int64", shape: [1, 4] } as const;
  await writeFile(
    join(folder, "tokenizer.json"),
    JSON.stringify({
      version: "1.0",
      added_tokens: [{ id: 0, content: "[UNK]", special: true }],
      normalizer: { type: "Lowercase" },
      pre_tokenizer: { type: "Whitespace" },
      post_processor: null,
      decoder: null,
      model: {
        type: "WordPiece",
        vocab: { "[UNK]": 0, the: 7, weather: 8, was: 9, warm: 10 },
        unk_token: "[UNK]",
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
      },
    }),
  );
  await writeFile(join(folder, "a.txt"), "The weather was very warm\n\nWas warm\n");
  const [first, second] = await load(join(folder, "a.txt"), runnerOf(ids, mask, types));
  expect(first.get("input_ids")!.data).toEqual(BigInt64Array.of(7n, 8n, 9n, 0n));
  expect(second.get("input_ids")).toEqual({
    dtype: "int64",
    shape: [1, 4],
    data: BigInt64Array.of(9n, 10n, 0n, 0n),
  });
  expect(second.get("attention_mask")!.data).toEqual(BigInt64Array.of(1n, 1n, 0n, 0n));
  expect(second.get("token_type_ids")!.data).toEqual(BigInt64Array.of(0n, 0n, 0n, 0n));
  const free = { ...ids, shape: [undefined, undefined] } as const;
  await writeFile(join(folder, "a.jsonl"), '{"input_ids": [5, 6, 7, 8, 9]}\n{"text": "warm"}\n');
  const [given, made] = await load(join(folder, "a.jsonl"), runnerOf(free));
  expect(given.get("input_ids")).toEqual({
    dtype: "int64",
    shape: [1, 5],
    data: BigInt64Array.of(5n, 6n, 7n, 8n, 9n),
  });
  expect(made.get("input_ids")).toEqual({ dtype: "int64", shape: [1, 1], data: BigInt64Array.of(10n) });
  await writeFile(join(folder, "bad.jsonl"), '{"input_ids": "x"}\n');
  await expect(load(join(folder, "bad.jsonl"), runnerOf(free))).rejects.toThrow(
    "expected a text or lists of numbers",
  );
  await expect(load(join(folder, "a.txt"), runnerOf({ ...free, name: "x" }))).rejects.toThrow(
    "takes no texts",
  );
});
