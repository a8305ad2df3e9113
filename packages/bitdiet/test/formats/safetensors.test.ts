import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { memoryFiles } from "../../src/formats/files.js";
import { readModel, writeModel } from "../../src/formats/list.js";
import { folderFiles } from "../../src/formats/node-files.js";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.js";
import { safetensorsUses } from "../../src/formats/safetensors-use.js";
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
      use: { kind: "weight", channelAxis: 0, reason: "weight by its name and shape" },
    },
    { name: "bias", shape: [4], dtype: "bfloat16", use: { kind: "vector", reason: "bias by its name" } },
  ]);
  expect(await bytesByName(model)).toEqual({ weight: data.slice(0, 48), bias: data.slice(48) });
});

test("kernels whose inputs lie side by side are told from other weights by their layout", () => {
  const tensors = [
    ["conv.weight", [8, 4, 3, 3]],
    ["conv1d.weight", [8, 4, 5]],
    ["depthwise.weight", [8, 1, 3, 3]],
    ["flax/kernel", [3, 3, 4, 8]],
    ["conv_transpose.weight", [4, 8, 3, 3]],
    ["heads.weight", [12, 64, 64]],
    ["fc.weight", [8, 4]],
  ] as const;
  const useOf = safetensorsUses(tensors.map(([name, shape]) => ({ name, shape, dtype: "float32" as const })));
  const areConvolutions = tensors.filter(([name]) => "isConvolution" in useOf(name)).map(([name]) => name);
  expect(areConvolutions).toEqual(["conv.weight", "conv1d.weight", "depthwise.weight", "flax/kernel"]);
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
  [
    "a hole",
    file({ weight: { ...weight, shape: [2, 3], data_offsets: [0, 24] }, bias }, data),
    "24 to 48, before bias",
  ],
  ["data left over", file({ weight }, data), "its tensors end at byte"],
  [
    "a name given twice",
    new Uint8Array(
      Buffer.concat([
        bytesOf(BigUint64Array.of(111n)),
        Buffer.from(
          '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}      ',
        ),
        Uint8Array.of(1, 2, 3, 4),
      ]),
    ),
    "bytes 0 to 2, before a, belong to none",
  ],
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

/** A safetensors file of tensors that say what fills them. */
function fileOf(
  tensors: [
    name: string,
    dtype: "F32" | "F16" | "I32" | "F8_E8M0" | "F4",
    shape: number[],
    values?: Float32Array,
  ][],
) {
  const widths = { F32: 4, F16: 2, I32: 4, F8_E8M0: 1, F4: 0.5 };
  const header: Record<string, object> = {};
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [i, [name, dtype, shape, values]] of tensors.entries()) {
    const count = shape.reduce((a, b) => a * b, 1);
    const bytes =
      dtype === "F32"
        ? bytesOf(values ?? normals(count, i + 1))
        : Uint8Array.from({ length: count * widths[dtype] }, (_, k) => 13 * k);
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    parts.push(bytes);
    at += bytes.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return new Uint8Array(Buffer.concat([length, json, ...parts]));
}

test("what a tensor is follows from its name, its layout, its neighbours and its values", async () => {
  const triangle = Float32Array.from({ length: 1024 }, (_, i) => (i % 32 <= i / 32 ? 1 : 0));
  const cosines = Float32Array.from({ length: 2080 }, (_, i) =>
    Math.cos((Math.PI * Math.floor(i / 65) * (i % 65)) / 64),
  );
  const file = fileOf([
    ["h.0.attn.c_attn.weight", "F32", [32, 96]],
    ["h.0.attn.bias", "F32", [1, 1, 32, 32], triangle],
    ["h.0.ln_1.weight", "F32", [32]],
    ["wte.weight", "F32", [64, 32]],
    ["conv1.weight", "F32", [8, 3, 3, 3]],
    ["features.1.weight", "F32", [8, 1, 3, 3]],
    ["params/Dense_0/kernel", "F32", [32, 10]],
    ["l.qweight", "I32", [16, 32]],
    ["l.scales", "F16", [8, 32]],
    ["w.weight", "F4", [32, 32]],
    ["w.weight_scale_inv", "F32", [8, 8]],
    ["e8", "F8_E8M0", [8, 8]],
    ["spectrum.weight", "F32", [32, 65], cosines],
    ["rotary.inv_freq", "F32", [16]],
  ]);
  const model = await readSafetensors(memoryFiles({ "m.safetensors": file }), "m.safetensors");
  const found = model.tensors.map(({ name, use }) => [
    name,
    use.kind,
    "channelAxis" in use ? use.channelAxis : "",
  ]);
  expect(found).toEqual([
    ["h.0.attn.c_attn.weight", "weight", 1],
    ["h.0.attn.bias", "exact", ""],
    ["h.0.ln_1.weight", "vector", ""],
    ["wte.weight", "embedding", 0],
    ["conv1.weight", "weight", 0],
    ["features.1.weight", "depthwise", 0],
    ["params/Dense_0/kernel", "weight", 1],
    ["l.qweight", "integers", ""],
    ["l.scales", "exact", ""],
    ["w.weight", "exact", ""],
    ["w.weight_scale_inv", "exact", ""],
    ["e8", "exact", ""],
    ["spectrum.weight", "exact", ""],
    ["rotary.inv_freq", "exact", ""],
  ]);
  expect(model.tensors.every(({ use }) => use.reason !== "")).toBe(true);
  // Types of less than a byte and of exponents alone come back as they were.
  const written = await readSafetensors(memoryFiles(await collect(writeSafetensors(model))), "m.safetensors");
  for (const [i, { bytes }] of model.tensors.entries())
    expect(await written.tensors[i].bytes()).toEqual(await bytes());
});

test("a Git LFS pointer in place of the file is named as such", async () => {
  const pointer = new TextEncoder().encode(
    "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12345\n",
  );
  const reading = readSafetensors(memoryFiles({ "m.safetensors": pointer }), "m.safetensors");
  await expect(reading).rejects.toThrow("m.safetensors: this is a Git LFS pointer, not the model");
});

test("a tensor called __proto__ comes back, and names that no file can hold are refused when they are read", async () => {
  const bytes = Uint8Array.of(1, 2, 3, 4);
  const file = (name: string) => {
    const header = `{"${name}":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`;
    const length = new Uint8Array(BigUint64Array.of(BigInt(Buffer.byteLength(header))).buffer);
    return { "m.safetensors": new Uint8Array(Buffer.concat([length, Buffer.from(header), bytes])) };
  };
  const model = await readModel(memoryFiles(file("__proto__")), "m.safetensors");
  const again = await readModel(memoryFiles(await collect(writeModel(model))), "m.safetensors");
  expect(again.tensors.map(({ name }) => name)).toEqual(["__proto__"]);
  expect(await again.tensors[0].bytes()).toEqual(bytes);
  await expect(readModel(memoryFiles(file("\\ud800")), "m.safetensors")).rejects.toThrow(ModelFileError);
});
