import { execFile, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bytesOf, normals } from "../formats/small-models.js";

const bin = join(import.meta.dirname, "../../dist/cli/main.js");
let folder: string;

function bitdiet(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [bin, ...args], { cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

/** A safetensors file of these float32 or int32 tensors. */
function safetensors(
  tensors: Record<string, { dtype: "F32" | "I32"; shape: number[]; data: ArrayBufferView }>,
) {
  let at = 0;
  const header = JSON.stringify(
    Object.fromEntries(
      Object.entries(tensors).map(([name, { dtype, shape, data }]) => {
        const offsets = [at, (at += data.byteLength)];
        return [name, { dtype, shape, data_offsets: offsets }];
      }),
    ),
  );
  const pieces = Object.values(tensors).map(({ data }) => bytesOf(data as Float32Array));
  return Buffer.concat([bytesOf(BigUint64Array.of(BigInt(header.length))), Buffer.from(header), ...pieces]);
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
  const weight = (shape: number[], seed: number) => ({
    dtype: "F32" as const,
    shape,
    data: normals(shape[0] * shape[1], seed, 0.1),
  });
  await writeFile(
    join(folder, "m.safetensors"),
    safetensors({
      "a.weight": weight([200, 300], 1),
      "b.weight": weight([100, 100], 2),
      "c.weight": weight([64, 64], 3),
    }),
  );
  await writeFile(
    join(folder, "ids.safetensors"),
    safetensors({
      ids: { dtype: "I32", shape: [1000], data: Int32Array.from({ length: 1000 }, (_, i) => i * i) },
    }),
  );
});
afterAll(() => rm(folder, { recursive: true }));

test.skipIf(!existsSync("/dev/full"))(
  "what standard output does not take is an error, but who reads no further has all",
  async () => {
    const full = (...args: string[]) =>
      spawnSync("sh", ["-c", `"$0" "$@" > /dev/full`, process.execPath, bin, ...args], {
        cwd: folder,
        encoding: "utf8",
      });
    const { status, stderr } = full("inspect", "ids.safetensors", "--json");
    expect(stderr).toContain("bitdiet: standard output: ENOSPC");
    expect(status).toBe(2);
  },
);

test("the report and the file cannot be one", async () => {
  const args = ["compress", "m.safetensors", "--bits", "4", "-o", "one.bitdiet", "--curve", "./one.bitdiet"];
  const { code, stderr } = await bitdiet(...args);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: "bitdiet: --curve: expected another file than --output, got the same\n",
  });
});

describe("what is there already", () => {
  test("the model itself is never written over, by whatever name", async () => {
    const before = await readFile(join(folder, "m.safetensors"));
    for (const output of ["m.safetensors", `../${folder.split("/").at(-1)}/m.safetensors`]) {
      const { code, stderr } = await bitdiet("compress", "m.safetensors", "-o", output, "--force");
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: expect.stringContaining("is a file of the model"),
      });
    }
    expect(await readFile(join(folder, "m.safetensors"))).toEqual(before);
  });

  test("of two that write to one new name, one does and one refuses", async () => {
    const both = await Promise.all(
      [3, 5].map((bits) => bitdiet("compress", "m.safetensors", "--bits", `${bits}`, "-o", "both.bitdiet")),
    );
    expect(both.map(({ code }) => code).sort()).toEqual([0, 2]);
    expect(both.find(({ code }) => code === 2)!.stderr).toContain("exists already");
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
    expect((await bitdiet("verify", "both.bitdiet")).code).toBe(0);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("%s leaves nothing unfinished", async (signal) => {
    await writeFile(
      join(folder, "slow.mjs"),
      // Long enough to be told to end while the temporary file or the evaluation is there.
      "export default () => new Promise((resolve) => { console.error('here'); setTimeout(() => resolve(1), 20000); });",
    );
    const child = spawn(
      process.execPath,
      [bin, "compress", "m.safetensors", "--evaluate", "slow.mjs", "-o", `${signal}.bitdiet`],
      { cwd: folder },
    );
    await new Promise<void>((resolve) =>
      child.stderr.on("data", (text) => String(text).includes("here") && resolve()),
    );
    const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
    child.kill(signal);
    expect(await ended).toBe({ SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }[signal]);
    expect((await readdir(folder)).filter((name) => name.includes(signal))).toEqual([]);
  });

  test("who closes standard output has what was wanted: no stack, exit 0", async () => {
    await bitdiet("compress", "m.safetensors", "--bits", "3", "-o", "head.bitdiet");
    const child = spawn(process.execPath, [bin, "inspect", "head.bitdiet"], { cwd: folder });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.on("data", (text) => (stderr += text));
    expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(0);
    expect(stderr).not.toContain("EPIPE");
  });
});

describe("functions of the user's that misbehave end in one line and exit code 2", () => {
  test.each([
    ["never answers", "export default () => new Promise(() => {});", "never answers"],
    ["throws null", "export default () => { throw null; };", "threw null"],
    ["throws a string", "export default () => { throw 'no'; };", "threw no"],
    ["gives infinity", "export default () => Infinity;", "expected a finite number"],
    ["ends the process", "export default () => process.exit(0);", "ends the process, with code 0"],
  ])("%s", async (_, code, message) => {
    await writeFile(join(folder, "hook.mjs"), code);
    const result = await bitdiet("compress", "m.safetensors", "--evaluate", "hook.mjs", "-o", "hook.bitdiet");
    expect(result).toEqual({ code: 2, stdout: "", stderr: expect.stringContaining(message) });
    expect(
      result.stderr
        .trim()
        .split("\n")
        .filter((line) => line.startsWith("bitdiet:")),
    ).toHaveLength(1);
    expect(await readdir(folder)).not.toContain("hook.bitdiet");
  });
});

describe("the report", () => {
  test("names the hash of the file, says why each tensor is as it is, and that outputs were not checked", async () => {
    const { code, stdout } = await bitdiet(
      "compress",
      "m.safetensors",
      "--keep",
      "b.*",
      "--bits-for",
      "c.weight=7",
      "--bits",
      "4",
      "-o",
      "why.bitdiet",
      "--json",
    );
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    const file = await readFile(join(folder, "why.bitdiet"));
    expect(report.sha256).toBe(createHash("sha256").update(file).digest("hex"));
    expect(report.outputs.unchecked).toContain("safetensors");
    const [a, b, c] = report.tensors;
    expect(a).toMatchObject({ kept: "quantized" });
    expect(b).toMatchObject({ kept: "exact", why: "kept by b.*" });
    expect(c).toMatchObject({ kept: "quantized", why: expect.stringContaining("7 bits by c.weight") });
    expect(Math.abs(c.bits - 7)).toBeLessThan(0.05);
    expect((await bitdiet("inspect", "why.bitdiet")).stdout).toContain(report.sha256);
  });

  test("patterns that match nothing are refused", async () => {
    const { code, stderr } = await bitdiet(
      "compress",
      "m.safetensors",
      "--keep",
      "nothing*",
      "-o",
      "no.bitdiet",
    );
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: "bitdiet: --keep: nothing*: matches no tensor of the 3 that there are\n",
    });
  });

  test("bits where nothing can be quantized are exit 1 in one line; without a size the file is written and says so", async () => {
    const missed = await bitdiet("compress", "ids.safetensors", "--bits", "4", "-o", "ids.bitdiet");
    expect(missed).toEqual({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^bitdiet: nothing to quantize[^\n]*\n$/),
    });
    const { code, stdout } = await bitdiet("compress", "ids.safetensors", "-o", "ids.bitdiet");
    expect(code).toBe(0);
    expect(stdout).toContain("Nothing was quantized");
  });

  test("a progressive file decodes to what a plain one does", async () => {
    for (const more of [[], ["--progressive"]])
      expect(
        (
          await bitdiet(
            "compress",
            "m.safetensors",
            "--quality",
            "60",
            ...more,
            "-o",
            `p${more.length}.bitdiet`,
          )
        ).code,
      ).toBe(0);
    for (const name of ["p0", "p1"]) await bitdiet("decompress", `${name}.bitdiet`, "-o", name);
    expect(
      await readFile(join(folder, "p1/model.safetensors")).catch(() =>
        readFile(join(folder, "p1/m.safetensors")),
      ),
    ).toEqual(
      await readFile(join(folder, "p0/model.safetensors")).catch(() =>
        readFile(join(folder, "p0/m.safetensors")),
      ),
    );
  });

  test("inspect lists the largest tensor first", async () => {
    const { stdout } = await bitdiet("inspect", "m.safetensors");
    const rows = stdout
      .split("\n")
      .slice(1, 4)
      .map((line) => line.split(" ")[0]);
    expect(rows).toEqual(["a.weight", "b.weight", "c.weight"]);
  });
});

describe("diff and patch", () => {
  const sha = async (file: string) =>
    createHash("sha256")
      .update(await readFile(join(folder, file)))
      .digest("hex");

  test("make an update of a base, and of both the next file; what is there is not written over", async () => {
    const shape = [200, 300];
    const data = normals(60_000, 1, 0.1).map((value, i) => value + (i % 50 === 0 ? 0.05 : 0));
    await writeFile(
      join(folder, "later.safetensors"),
      safetensors({ "a.weight": { dtype: "F32", shape, data } }),
    );
    expect((await bitdiet("compress", "m.safetensors", "--quality", "60", "-o", "v1.bitdiet")).code).toBe(0);
    const made = await bitdiet("diff", "v1.bitdiet", "later.safetensors", "-o", "v2.bitdelta", "--json");
    expect(made.code).toBe(0);
    const report = JSON.parse(made.stdout);
    expect(report).toMatchObject({
      base: await sha("v1.bitdiet"),
      sha256: await sha("v2.bitdelta"),
      tensors: { kept: 0, changed: 1, own: 0, gone: 2 },
    });
    expect(report.bytes).toBeLessThan(0.3 * report.baseBytes);
    const patched = await bitdiet("patch", "v1.bitdiet", "v2.bitdelta", "-o", "v2.bitdiet", "--json");
    expect(JSON.parse(patched.stdout)).toMatchObject({ sha256: await sha("v2.bitdiet") });
    expect((await bitdiet("verify", "v2.bitdiet")).code).toBe(0);
    for (const again of [
      ["diff", "v1.bitdiet", "later.safetensors", "-o", "v2.bitdelta"],
      ["patch", "v1.bitdiet", "v2.bitdelta", "-o", "v2.bitdiet"],
      ["patch", "v1.bitdiet", "v2.bitdelta", "-o", "v1.bitdiet", "--force"],
      ["diff", "v1.bitdiet", "later.safetensors", "-o", "u", "--exact", "--quality", "3"],
    ])
      expect((await bitdiet(...again)).code).toBe(2);
  });

  test("refuse another base, what is no update, and sizes that cannot be", async () => {
    const wrong = await bitdiet("patch", "v2.bitdiet", "v2.bitdelta", "-o", "v3.bitdiet");
    expect(wrong).toMatchObject({ code: 3, stderr: expect.stringContaining("not for that of") });
    expect((await bitdiet("patch", "v1.bitdiet", "v2.bitdiet", "-o", "v3.bitdiet")).code).toBe(3);
    const small = ["diff", "v1.bitdiet", "later.safetensors", "-o", "v4.bitdelta", "--max-bytes", "40"];
    expect((await bitdiet(...small)).code).toBe(1);
    expect((await readdir(folder)).filter((name) => /v[34]|tmp/.test(name))).toEqual([]);
  });
});
