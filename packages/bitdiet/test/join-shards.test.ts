import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { uniform } from "../../../test/random.js";
import { compressToPieces } from "../src/compress.js";
import { joinShards } from "../src/join-shards.js";
import { joinPieces, openSource } from "../src/loaders/source.js";
import type { Model, ModelTensor } from "../src/model.js";
import { shardOf } from "../src/shard.js";

const settings = "quality 60";
const floats = (seed: number, length: number) => {
  const next = uniform(seed);
  return new Uint8Array(Float32Array.from({ length }, () => next() - 0.5).buffer);
};

/** Weights, vectors, integers; two that are equal lie far apart, two close by. */
function modelOf(count: number): Model {
  const tensors = Array.from({ length: count }, (_, i): ModelTensor => {
    const seed = i === count - 1 || i === 1 ? 0 : i;
    const isVector = i % 5 === 3;
    const shape = isVector ? [24] : [12 + (seed % 3), 40];
    const bytes = floats(
      seed,
      shape.reduce((a, b) => a * b),
    );
    const use = isVector
      ? ({ kind: "vector", reason: "a vector" } as const)
      : ({ kind: "weight", channelAxis: 0, reason: "a matrix" } as const);
    return { name: `t${i}`, dtype: "float32", shape, use, bytes: async () => bytes };
  });
  return { format: "safetensors", tensors, metadata: { layout: floats(99, 10) } };
}

const compressed = async (model: Model, options = {}) =>
  joinPieces((await compressToPieces(model, { quality: 60 }, options)).pieces);
const shards = (model: Model, count: number, options = {}) =>
  Promise.all(
    Array.from({ length: count }, (_, i) =>
      compressed(model, { ...options, shard: { index: i + 1, count, settings } }),
    ),
  );
const joined = async (files: Uint8Array[]) => {
  const pieces: Uint8Array[] = [];
  for await (const piece of (
    await joinShards(await Promise.all(files.map((file) => openSource(file))))
  ).pieces())
    pieces.push(piece);
  return joinPieces(pieces);
};

describe("parts of a model", () => {
  test.each([1, 2, 3, 7, 20])(
    "have every tensor once, in order, in %i parts of about as many bytes",
    (count) => {
      const model = modelOf(20);
      const parts = Array.from({ length: count }, (_, i) =>
        shardOf(model, { index: i + 1, count, settings }),
      );
      expect(parts.flatMap(({ tensors }) => tensors)).toEqual(model.tensors);
      expect(parts.every(({ tensors }) => tensors.length > 0)).toBe(true);
      expect(parts.map(({ first }) => model.tensors[first])).toEqual(parts.map(({ tensors }) => tensors[0]));
      if (count > 7) return;
      const sizes = parts.map(({ tensors }) =>
        tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0),
      );
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThan(2 * 14 * 40);
    },
  );

  test.each([
    [{ index: 0, count: 2 }, "expected a shard from 1 to 2, got 0"],
    [{ index: 3, count: 2 }, "expected a shard from 1 to 2, got 3"],
    [{ index: 1, count: 21 }, "expected 1 to 20 shards, one a tensor, got 21"],
  ])("%j are refused", (shard, message) => {
    expect(() => shardOf(modelOf(20), { ...shard, settings })).toThrow(message);
  });

  test("have a quality, not a size", async () => {
    const shard = { index: 1, count: 2, settings };
    await expect(compressToPieces(modelOf(5), { bits: 3 }, { shard })).rejects.toThrow(
      'expected the target "quality"',
    );
  });
});

describe("parts joined", () => {
  test.each([
    [1, {}],
    [2, {}],
    [4, { progressive: true }],
    [3, { minGain: 1 }],
    [20, {}],
  ])(
    "from %i files, with %j, are the bytes of one job, in whatever order they come",
    async (count, options) => {
      const model = modelOf(20);
      const files = await shards(model, count, options);
      expect(await joined(files.reverse())).toEqual(await compressed(model, options));
    },
  );

  test("are refused where one is missing, twice there, of other settings, of another model, whole, or damaged", async () => {
    const model = modelOf(20);
    const [a, b, c] = await shards(model, 3);
    await expect(joined([])).rejects.toThrow("expected the parts of a model, got none");
    await expect(joined([a, c])).rejects.toThrow("expected 3 parts; 2 of them missing");
    await expect(joined([a, b, b, c])).rejects.toThrow("is part 2, and so is");
    const other = await compressed(model, { shard: { index: 2, count: 3, settings: "quality 70" } });
    await expect(joined([a, other, c])).rejects.toThrow("was made with quality 70, bytes with quality 60");
    const [, foreign] = await shards({ ...model, metadata: { layout: floats(1, 10) } }, 3);
    await expect(joined([a, foreign, c])).rejects.toThrow("is a part of another model than");
    const [, longer] = await shards(modelOf(21), 3);
    await expect(joined([a, longer, c])).rejects.toThrow("is a part of another model than");
    await expect(joined([await compressed(model)])).rejects.toThrow("is a whole model, not a part of one");
    const damaged = b.slice();
    damaged[damaged.length - 1] ^= 1;
    await expect(joined([a, damaged, c])).rejects.toThrow(/tensor "t\d+": it is cut or changed/);
  });
});

describe("bitdiet compress --shard and bitdiet join", () => {
  const cli = join(import.meta.dirname, "../dist/cli/main.js");
  const folder = mkdtempSync(join(tmpdir(), "bitdiet-shards-"));
  const bitdiet = (...args: string[]) =>
    spawnSync(process.execPath, [cli, ...args], { encoding: "utf8", cwd: folder });
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(() => writeShards(join(folder, "model"), 3, 4));

  test("make of a safetensors index what one job makes, which decompresses to the index", () => {
    const how = ["--quality", "50", "--keep", "layer.1.*"];
    for (const i of [1, 2, 3, 4]) {
      const { status, stderr } = bitdiet(
        "compress",
        "model",
        ...how,
        "--shard",
        `${i}/4`,
        "-o",
        `part-${i}.bitdiet`,
      );
      expect(status, stderr).toBe(0);
    }
    const parts = [1, 2, 3, 4].map((i) => `part-${i}.bitdiet`);
    const { status, stdout } = bitdiet("join", ...parts, "-o", "joined.bitdiet");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^joined\.bitdiet: [\d,]+ B, 12 tensors of 4 parts, every hash fits\n$/);
    execFileSync(
      process.execPath,
      [cli, "compress", "model", ...how, "--calibrate", "none", "-o", "one.bitdiet"],
      { cwd: folder },
    );
    expect(
      readFileSync(join(folder, "joined.bitdiet")).equals(readFileSync(join(folder, "one.bitdiet"))),
    ).toBe(true);
    expect(bitdiet("decompress", "joined.bitdiet", "-o", "back").stdout).toContain(
      "model.safetensors.index.json",
    );
  });

  test.each([
    [
      ["compress", "model", "--shard", "0/4", "-o", "x.bitdiet"],
      "--shard: expected 1/4 for the first of four parts, got 0/4",
    ],
    [["compress", "model", "--shard", "1/13", "-o", "x.bitdiet"], "--shard: expected 1 to 12 shards"],
    [
      ["compress", "model", "--shard", "1/2", "--bits", "3", "-o", "x.bitdiet"],
      "--shard: expected --quality with it",
    ],
    [
      ["compress", "model", "--shard", "1/2", "--calibrate", "synthetic", "-o", "x.bitdiet"],
      "--shard: a part of a model is not run",
    ],
    [["join", "part-1.bitdiet", "-o", "x.bitdiet"], "expected 4 parts; 2, 3, 4 of them missing"],
    [["join", "part-1.bitdiet", "-o", "part-1.bitdiet"], "part-1.bitdiet exists already"],
    [["join", "part-1.bitdiet", "-o", "part-1.bitdiet", "--force"], "nothing is written over it"],
    [["decompress", "part-1.bitdiet", "-o", "x"], "is part 1 of 4 of a model: bitdiet join first"],
  ])("%j is used wrongly", (args, message) => {
    const { status, stderr } = bitdiet(...args);
    expect(stderr).toContain(message);
    expect(status).toBe(2);
  });
});

/** A safetensors index of so many files, with so many matrices of floats each. */
function writeShards(folder: string, files: number, matrices: number): void {
  mkdirSync(folder);
  const places: Record<string, string> = {};
  for (let f = 0; f < files; f++) {
    const name = `model-${f + 1}.safetensors`;
    const header: Record<string, unknown> = {};
    const data: Uint8Array[] = [];
    for (let m = 0; m < matrices; m++) {
      const bytes = floats(10 * f + m, 32 * 48);
      header[`layer.${f}.${m}.weight`] = {
        dtype: "F32",
        shape: [32, 48],
        data_offsets: [m * bytes.length, (m + 1) * bytes.length],
      };
      places[`layer.${f}.${m}.weight`] = name;
      data.push(bytes);
    }
    const json = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    writeFileSync(join(folder, name), Buffer.concat([length, json, ...data]));
  }
  writeFileSync(
    join(folder, "model.safetensors.index.json"),
    JSON.stringify({ metadata: {}, weight_map: places }),
  );
}
