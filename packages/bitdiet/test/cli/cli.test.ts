import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  bytesOf,
  type Files,
  graphModelFiles,
  layersModelFiles,
  normals,
  onnxModel,
  runGraph,
  runLayers,
} from "../formats/small-models.js";

const bin = join(import.meta.dirname, "../../dist/cli/main.js");
let folder: string;

/** The command in a process of its own. */
function bitdiet(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], { cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

async function writeAll(name: string, files: Files): Promise<void> {
  await mkdir(join(folder, name), { recursive: true });
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(folder, name, file), bytes);
}
async function readAll(name: string): Promise<Files> {
  const names = await readdir(join(folder, name));
  return Object.fromEntries(
    await Promise.all(
      names.map(async (file) => [file, new Uint8Array(await readFile(join(folder, name, file)))]),
    ),
  );
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
  await writeAll("layers", await layersModelFiles());
  await writeAll("graph", graphModelFiles());
  await writeAll("onnx", onnxModel());
  const weights = normals(60_000, 1, 0.1);
  const header = JSON.stringify({
    __metadata__: { format: "pt" },
    "fc.weight": { dtype: "F32", shape: [200, 300], data_offsets: [0, 240_000] },
    "fc.bias": { dtype: "F32", shape: [200], data_offsets: [240_000, 240_800] },
  });
  const file = Buffer.concat([
    bytesOf(BigUint64Array.of(BigInt(header.length))),
    Buffer.from(header),
    bytesOf(weights),
    bytesOf(normals(200, 2)),
  ]);
  await writeAll("torch", { "model.safetensors": new Uint8Array(file) });
  await writeFile(
    join(folder, "score.mjs"),
    // 1 less the relative error of the weights, whatever the format.
    `export default async ({ path, format, tensors }) => {
      if (format !== "safetensors" || !path.endsWith("model.safetensors")) throw new Error(path);
      const bytes = await tensors["fc.weight"].bytes();
      const values = new Float32Array(bytes.slice().buffer);
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / 60000);
    };`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

describe("exit code 0", () => {
  test("a layers model is compressed, verified, decompressed, and predicts nearly the same", async () => {
    const compressed = await bitdiet("compress", "layers", "--bits", "6", "-o", "layers.bitdiet", "--json");
    expect(compressed.code).toBe(0);
    const report = JSON.parse(compressed.stdout);
    expect(report.bytes).toBe((await stat(join(folder, "layers.bitdiet"))).size);
    expect(report.method).toBe("bits where outputs depend on them");
    expect(report.outputs).toMatchObject({ kind: "kl", inputs: "32 made-up inputs, seed 2" });
    expect((await bitdiet("verify", "layers.bitdiet")).stdout).toContain("every hash fits");
    expect((await bitdiet("decompress", "layers.bitdiet", "-o", "out/layers")).code).toBe(0);
    const [before, after] = [
      await runLayers(await readAll("layers")),
      await runLayers(await readAll("out/layers")),
    ];
    const worst = Math.max(...before.map((value, i) => Math.abs(value - after[i])));
    expect(worst).toBeLessThan(0.03);
  });

  test("a graph model, an ONNX model and a safetensors file come back under their own names", async () => {
    for (const [model, file] of [
      ["graph/model.json", "model.json"],
      ["onnx/model.onnx", "model.onnx"],
      ["torch", "model.safetensors"],
    ]) {
      const name = file.replace(".", "-");
      expect((await bitdiet("compress", model, "--quality", "90", "-o", `${name}.bitdiet`)).code).toBe(0);
      expect((await bitdiet("decompress", `${name}.bitdiet`, "-o", `out/${name}`)).code).toBe(0);
      expect(await readdir(join(folder, "out", name))).toContain(file);
    }
    const [before, after] = [
      await runGraph(graphModelFiles()),
      await runGraph(await readAll("out/model-json")),
    ];
    expect(Math.max(...before.map((value, i) => Math.abs(value - after[i])))).toBeLessThan(0.02);
  });

  test.each([12_000, 30_000, 50_000])("--max-bytes %i is met within 1 % below", async (limit) => {
    const { code, stdout } = await bitdiet(
      "compress",
      "torch",
      "--max-bytes",
      `${limit / 1000}kB`,
      "-o",
      `${limit}.bitdiet`,
      "--json",
    );
    expect(code).toBe(0);
    const { size } = await stat(join(folder, `${limit}.bitdiet`));
    expect(JSON.parse(stdout).bytes).toBe(size);
    expect(size).toBeLessThanOrEqual(limit);
    expect(size).toBeGreaterThanOrEqual(0.99 * limit);
  });

  test("--bits is the mean of what was coded, to a hundredth", async () => {
    const { stdout } = await bitdiet("compress", "torch", "--bits", "3.5", "-o", "bits.bitdiet", "--json");
    expect(Math.abs(JSON.parse(stdout).bits - 3.5)).toBeLessThan(0.01);
  });

  test("--max-drop alone finds the fewest bits that keep the score", async () => {
    const { code, stdout, stderr } = await bitdiet(
      "compress",
      "torch",
      "--evaluate",
      "score.mjs",
      "--max-drop",
      "0.1%",
      "-o",
      "fewest.bitdiet",
      "--json",
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    const { scores, bits } = JSON.parse(stdout);
    expect(scores.before - scores.after).toBeLessThanOrEqual(0.001);
    expect(bits).toBeLessThan(6);
  });

  test("--calibrate runs a layers model on a module's inputs", async () => {
    const inputs = [...normals(8 * 432, 5)].map((value) => Number(value.toFixed(4)));
    await writeFile(
      join(folder, "data.mjs"),
      `export default () => ({ inputs: Float32Array.from(${JSON.stringify(inputs)}), shape: [8, 12, 12, 3] });`,
    );
    const { code, stdout, stderr } = await bitdiet(
      "compress",
      "layers",
      "--quality",
      "60",
      "--calibrate",
      "data.mjs",
      "-o",
      "calibrated.bitdiet",
      "--json",
    );
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(JSON.parse(stdout)).toMatchObject({
      method: expect.stringMatching(/calibration data|bits where/),
      outputs: { inputs: "4 inputs of yours, held out" },
    });
    expect((await bitdiet("decompress", "calibrated.bitdiet", "-o", "out/calibrated")).code).toBe(0);
    const [before, after] = [
      await runLayers(await readAll("layers")),
      await runLayers(await readAll("out/calibrated")),
    ];
    expect(Math.max(...before.map((value, i) => Math.abs(value - after[i])))).toBeLessThan(0.1);
    const torch = await bitdiet("compress", "torch", "--calibrate", "data.mjs", "-o", "no.bitdiet");
    expect(torch).toMatchObject({ code: 2, stderr: expect.stringContaining("expected a model of TF.js") });
  });

  test("--force writes over what is there", async () => {
    await writeFile(join(folder, "there.bitdiet"), "old");
    expect((await bitdiet("compress", "torch", "--bits", "2", "-o", "there.bitdiet", "--force")).code).toBe(
      0,
    );
    expect((await readFile(join(folder, "there.bitdiet"))).toString("latin1", 0, 4)).toBe("BITD");
  });

  test("inspect says what is in a file, what it is beside other formats, and what it lost", async () => {
    await bitdiet("compress", "torch", "--bits", "4", "-o", "four.bitdiet");
    const { stdout } = await bitdiet("inspect", "four.bitdiet", "torch", "--json", "--html", "report.html");
    const report = JSON.parse(stdout);
    expect(report.bytes).toBe((await stat(join(folder, "four.bitdiet"))).size);
    const [weight, bias] = report.tensors;
    expect(weight.bits).toBeCloseTo(4, 1);
    expect(weight.entropy).toBeCloseTo(4, 1);
    // A normal source at 4 bits and uniform steps: 6.02 * 4 - 1.53 dB.
    expect(Math.abs(weight.signalToNoise - 22.5)).toBeLessThan(0.6);
    expect(weight.otherBytes).toBe(240_000);
    expect(bias.signalToNoise).toBeGreaterThan(55);
    expect(report.baselines.map(({ name }: { name: string }) => name)).toEqual([
      "float32",
      "float16",
      "uint8 per tensor",
      "these integers, bit-packed",
    ]);
    for (const { raw, gzip, brotli } of report.baselines) {
      expect(gzip).toBeLessThan(1.001 * raw + 100);
      expect(brotli).toBeLessThan(1.001 * raw + 100);
      expect(report.bytes).toBeLessThan(1.01 * brotli);
    }
    const html = await readFile(join(folder, "report.html"), "utf8");
    expect(html).toContain("<svg");
    expect(html).not.toMatch(/<script|https?:|<link/);
    expect((await bitdiet("inspect", "layers")).stdout).toContain("depthwise/depthwise_kernel");
  });

  test("help and version are printed, and nothing is run", async () => {
    expect((await bitdiet("--help")).stdout).toContain("compress <model>");
    expect((await bitdiet("--version")).stdout).toContain("0.0.0");
  });
});

describe("exit code 1: the size or the score is missed, and nothing is written", () => {
  test("a budget that no quantization meets", async () => {
    const { code, stderr } = await bitdiet("compress", "torch", "--max-bytes", "300", "-o", "small.bitdiet");
    expect(code).toBe(1);
    expect(stderr).toContain("expected at most 300 bytes");
    await expect(stat(join(folder, "small.bitdiet"))).rejects.toThrow();
  });

  test("a score that falls too far", async () => {
    const { code, stderr } = await bitdiet(
      "compress",
      "torch",
      "--bits",
      "0.2",
      "--evaluate",
      "score.mjs",
      "--max-drop",
      "0.001",
      "-o",
      "bad.bitdiet",
    );
    expect(code).toBe(1);
    expect(stderr).toContain("the score fell");
    expect((await readdir(folder)).filter((name) => name.startsWith("bad"))).toEqual([]);
  });
});

describe("exit code 2: used wrongly", () => {
  test.each<[string, string[], string]>([
    ["no command", [], "expected a command"],
    ["an unknown command", ["shrink", "torch"], "no command shrink"],
    ["an unknown option", ["verify", "four.bitdiet", "--fast"], "fast"],
    ["no model", ["compress"], "missing required"],
    ["no output", ["compress", "torch"], "--output: expected a path"],
    ["two targets", ["compress", "torch", "-o", "x", "--bits", "4", "--quality", "3"], "expected one of"],
    ["a size that is none", ["compress", "torch", "-o", "x", "--max-bytes", "3 apples"], "expected a size"],
    ["bits out of range", ["compress", "torch", "-o", "x", "--bits", "40"], "expected a number from"],
    ["--max-drop without a score", ["compress", "torch", "-o", "x", "--max-drop", "1%"], "needs --evaluate"],
    [
      "a module that is not there",
      ["compress", "torch", "-o", "x", "--evaluate", "no.mjs"],
      "cannot be loaded",
    ],
    ["a file in the way", ["compress", "torch", "-o", "torch/model.safetensors"], "exists already"],
  ])("%s", async (_, args, message) => {
    const { code, stderr } = await bitdiet(...args);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
    expect(stderr).not.toContain(" at ");
  });

  test("decompress does not write over a model", async () => {
    await bitdiet("compress", "torch", "--bits", "4", "-o", "again.bitdiet");
    const before = await readFile(join(folder, "torch/model.safetensors"));
    const { code } = await bitdiet("decompress", "again.bitdiet", "-o", "torch");
    expect(code).toBe(2);
    expect(Buffer.compare(await readFile(join(folder, "torch/model.safetensors")), before)).toBe(0);
  });
});

describe("exit code 3: a file that cannot be read", () => {
  test("one that is not there, is another, is cut or changed", async () => {
    await bitdiet("compress", "torch", "--bits", "4", "-o", "good.bitdiet");
    const good = await readFile(join(folder, "good.bitdiet"));
    const changed = Buffer.from(good);
    changed[1000] ^= 1;
    await writeFile(join(folder, "changed.bitdiet"), changed);
    await writeFile(join(folder, "cut.bitdiet"), good.subarray(0, 5000));
    await writeFile(join(folder, "other.bitdiet"), "PNG and so on, long enough to be one");
    await writeFile(join(folder, "renamed.safetensors"), good);
    await writeFile(join(folder, "bad.safetensors"), good.subarray(1));
    for (const [args, message] of [
      [["verify", "nowhere.bitdiet"], "nowhere.bitdiet: cannot be read: ENOENT"],
      [["verify", "changed.bitdiet"], 'tensor "fc.weight"'],
      [["verify", "cut.bitdiet"], "5000 bytes of a file of"],
      [["verify", "other.bitdiet"], "Not a .bitdiet file"],
      [["verify", "torch"], "not a .bitdiet file"],
      [["decompress", "changed.bitdiet", "-o", "out-changed/deep"], 'tensor "fc.weight"'],
      [["compress", "bad.safetensors", "-o", "x.bitdiet"], "bad.safetensors: expected a header"],
      [["decompress", "bad.safetensors", "-o", "out-bad"], "bad.safetensors: expected a header"],
      [["inspect", "score.mjs"], "expected a TF.js model.json"],
    ] as const) {
      const { code, stderr } = await bitdiet(...args);
      expect({ args, code, stderr }).toEqual({ args, code: 3, stderr: expect.stringContaining(message) });
    }
    // What a file is, its first bytes say, not its name.
    expect(await bitdiet("verify", "renamed.safetensors")).toMatchObject({ code: 0 });
    expect(await bitdiet("compress", "renamed.safetensors", "-o", "x.bitdiet")).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("is compressed already"),
    });
    expect(await readdir(folder)).not.toContain("out-changed");
  });
});
