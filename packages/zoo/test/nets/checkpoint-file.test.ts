import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readCheckpoint, writeCheckpoint } from "../../src/nets/checkpoint-file.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bitdiet-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

it("is written whole and read back; a broken one is named", async () => {
  const path = join(folder, "deep", "model.safetensors");
  const tensors = {
    a: { shape: [1], values: Float32Array.of(4) },
    __proto__x: { shape: [], values: Float32Array.of(-0.5) },
  };
  await writeCheckpoint(path, tensors, { step: "7" });
  const read = await readCheckpoint(path);
  expect(read.metadata).toEqual({ step: "7" });
  expect(read.tensors).toEqual({
    a: { dtype: "float32", ...tensors.a },
    __proto__x: { dtype: "float32", ...tensors.__proto__x },
  });
  expect(readdirSync(join(folder, "deep"))).toEqual(["model.safetensors"]);
  writeFileSync(path, "short");
  await expect(readCheckpoint(path)).rejects.toThrow("model.safetensors: expected at least 8 bytes");
});

it("gives floats of every width as float32, and integers without values", async () => {
  const header = JSON.stringify({
    d: { dtype: "F64", shape: [1], data_offsets: [0, 8] },
    i: { dtype: "I64", shape: [], data_offsets: [8, 16] },
    h: { dtype: "F16", shape: [1], data_offsets: [16, 18] },
    b: { dtype: "BF16", shape: [1], data_offsets: [18, 20] },
  });
  const bytes = Buffer.alloc(8 + header.length + 20);
  bytes.writeBigUInt64LE(BigInt(header.length));
  bytes.write(header, 8);
  bytes.writeDoubleLE(Math.PI, 8 + header.length);
  bytes.writeUInt16LE(0x0001, 8 + header.length + 16); // the least half
  bytes.writeUInt16LE(0xc049, 8 + header.length + 18);
  const path = join(folder, "widths.safetensors");
  writeFileSync(path, bytes);
  const { tensors } = await readCheckpoint(path);
  expect(tensors["d"].values).toEqual(Float32Array.of(Math.fround(Math.PI)));
  expect(tensors["i"]).toEqual({ dtype: "int64", shape: [], values: undefined });
  expect(tensors["h"].values).toEqual(Float32Array.of(2 ** -24));
  expect(tensors["b"].values).toEqual(Float32Array.of(-3.140625));
});
