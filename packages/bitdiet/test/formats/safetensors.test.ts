import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { memoryFiles } from "../../src/formats/files.js";
import { folderFiles } from "../../src/formats/node-files.js";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.js";
import { type Model, ModelFileError } from "../../src/model.js";
import { bytesOf, collect, type Files, normals } from "./small-models.js";

/** A file made by hand from the format's description. */
function file(header: object, data: Uint8Array): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(header));
  return new Uint8Array(Buffer.concat([bytesOf(BigUint64Array.of(BigInt(json.length))), json, data]));
}
const weight = { dtype: "F32", shape: [4, 3], data_offsets: [0, 48] };
const bias = { dtype: "BF16", shape: [4], data_offsets: [48, 56] };
const data = new Uint8Array(Buffer.concat([bytesOf(normals(12, 1)), Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)]));

async function bytesByName(model: Model): Promise<Record<string, Uint8Array>> {
  return Object.fromEntries(
    await Promise.all(model.tensors.map(async ({ name, bytes }) => [name, await bytes()])),
  );
}

test("readSafetensors gives names, shapes, types, and the axis of a weight's output channels", async () => {
  const files = memoryFiles({ "a.safetensors": file({ __metadata__: { by: "us" }, bias, weight }, data) });
  const model = await readSafetensors(files, "a.safetensors");
  expect(model.tensors.map(({ bytes: _, ...tensor }) => tensor)).toEqual([
    {
      name: "weight",
      shape: [4, 3],
      dtype: "float32",
      use: { kind: "weight", channelAxis: 0, reason: "floats along two axes" },
    },
    { name: "bias", shape: [4], dtype: "bfloat16", use: { kind: "vector", reason: "floats along one axis" } },
  ]);
  expect(await bytesByName(model)).toEqual({ weight: data.slice(0, 48), bias: data.slice(48) });
});

test("what is written again reads the same, metadata included", async () => {
  const files = { "a.safetensors": file({ __metadata__: { by: "us" }, weight, bias }, data) };
  const model = await readSafetensors(memoryFiles(files), "a.safetensors");
  const written = await collect(writeSafetensors(model));
  expect(Object.keys(written)).toEqual(["a.safetensors"]);
  const header = Number(new DataView(written["a.safetensors"].buffer).getBigUint64(0, true));
  expect((8 + header) % 8).toBe(0);
  expect(JSON.parse(Buffer.from(written["a.safetensors"].slice(8, 8 + header)).toString())).toEqual({
    __metadata__: { by: "us" },
    weight,
    bias,
  });
  expect(written["a.safetensors"].slice(8 + header)).toEqual(data);
});

test("shards with an index come back as shards with an index", async () => {
  const index = {
    metadata: { total_size: 56 },
    weight_map: { weight: "1.safetensors", bias: "2.safetensors" },
  };
  const files: Files = {
    "m.safetensors.index.json": new TextEncoder().encode(JSON.stringify(index)),
    "1.safetensors": file({ weight }, data.slice(0, 48)),
    "2.safetensors": file({ bias: { ...bias, data_offsets: [0, 8] } }, data.slice(48)),
  };
  const model = await readSafetensors(memoryFiles(files), "m.safetensors.index.json");
  const written = await collect(writeSafetensors(model));
  expect(Object.keys(written).sort()).toEqual(Object.keys(files).sort());
  expect(JSON.parse(Buffer.from(written["m.safetensors.index.json"]).toString())).toEqual(index);
  const again = await readSafetensors(memoryFiles(written), "m.safetensors.index.json");
  expect(await bytesByName(again)).toEqual(await bytesByName(model));
});

test.each([
  [
    "a header longer than the file",
    bytesOf(BigUint64Array.of(10n ** 12n)),
    "expected a header of at most 0 bytes",
  ],
  ["no header", Uint8Array.of(1, 2), "expected at least 8 bytes, got 2"],
  ["a header that is no JSON", new Uint8Array(Buffer.from("\x02\0\0\0\0\0\0\0{]")), "header: not JSON"],
  ["an unknown type", file({ w: { ...weight, dtype: "F3" } }, data), "w: unknown dtype F3"],
  ["a tensor past the end", file({ weight }, data.slice(0, 40)), "weight: ends at byte"],
  [
    "a length that is not the shape's",
    file({ weight: { ...weight, shape: [5, 3] } }, data),
    "expected 60 bytes of float32",
  ],
  [
    "a negative extent",
    file({ weight: { ...weight, shape: [-4, -3] } }, data),
    "expected whole numbers, got -4",
  ],
  ["tensors that overlap", file({ weight, other: weight }, data), "overlaps"],
])("%s is refused, with the file's name", async (_, bytes, message) => {
  const reading = readSafetensors(memoryFiles({ "bad.safetensors": bytes }), "bad.safetensors");
  await expect(reading).rejects.toThrow(ModelFileError);
  await expect(reading).rejects.toThrow(message);
  await expect(reading).rejects.toThrow("bad.safetensors");
});

const folder = join(process.env.BITDIET_DATA ?? "../shared/data", "models");
const known = existsSync(join(folder, "resnet20-cifar10.safetensors"));
if (!known) console.warn(`No models in ${folder} (set BITDIET_DATA): a test of safetensors is skipped.`);
test.runIf(known)("a file written by PyTorch's library comes back byte for byte", async () => {
  const name = "resnet20-cifar10.safetensors";
  const written = await collect(writeSafetensors(await readSafetensors(folderFiles(folder), name)));
  const original = await readFile(join(folder, name));
  const payload = (bytes: Uint8Array) =>
    bytes.slice(8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true)));
  expect(Buffer.compare(payload(written[name]), payload(original))).toBe(0);
});
