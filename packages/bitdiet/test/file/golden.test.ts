/**
 * Files of version 1, which every later version must write and read, and which reader.py reads.
 *
 * After a change of the format (or of a coder's streams) that is meant, write them anew:
 *
 *     UPDATE_GOLDEN=1 npx vitest run packages/bitdiet/test/file/golden.test.ts
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { xxHash32 } from "@bitdiet/stream";
import { describe, expect, test } from "vitest";
import { decodeModel, readHeader } from "../../src/file/decode.js";
import { type EncodeOptions, encodeModel, type SourceModel } from "../../src/file/encode.js";
import { tensorBytes as bytesIn } from "../../src/loaders/open.js";
import { type Dtype, dtypeBits, type ModelTensor } from "../../src/model.js";
import { applyUpdate } from "../../src/updates/apply.js";
import { encodeUpdate } from "../../src/updates/encode.js";
import {
  bytesOf,
  everyCombination,
  everyKind,
  everyWideCombination,
  integerKinds,
  longStreams,
  otherKinds,
} from "../samples.js";

const golden: [string, () => SourceModel, EncodeOptions][] = [
  ["cabac.bitdiet", everyKind, { minGain: 0 }],
  ["weights.bitdiet", everyKind, {}],
  ["ans.bitdiet", everyKind, { minGain: 1 }],
  ["long-streams.bitdiet", longStreams, { minGain: 1 }],
  ["progressive.bitdiet", longStreams, { progressive: true }],
  ["other-kinds.bitdiet", otherKinds, {}],
  ["integers-cabac.bitdiet", integerKinds, { minGain: 0 }],
  ["integers-ans.bitdiet", integerKinds, { minGain: 1 }],
  ["combinations-cabac.bitdiet", everyCombination, { minGain: 0 }],
  ["combinations-weights.bitdiet", everyWideCombination, { minGain: 1 }],
  ["combinations-ans.bitdiet", everyCombination, { minGain: 1 }],
];
const pathOf = (name: string) => fileURLToPath(new URL(`golden/${name}`, import.meta.url));
/** Whether numpy has the type: reader.py gives bytes of others, without a shape. */
const hasNumbers = (dtype: Dtype) => dtype === "bool" || (dtypeBits[dtype] % 8 === 0 && dtype !== "string");
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

/** Name, shape and SHA-256 of everything in a file, as reader.py prints them. */
async function contentsOf(file: Uint8Array): Promise<[string, number[], string][]> {
  const { tensors, metadata } = await decodeModel(file);
  return [
    ...tensors.map(({ name, dtype, shape, values }): [string, number[], string] => [
      name,
      hasNumbers(dtype) ? shape : [],
      sha256(bytesOf(values)),
    ]),
    ...metadata.map(({ name, bytes }): [string, number[], string] => [name, [], sha256(bytes)]),
  ];
}

if (process.env.UPDATE_GOLDEN) {
  const hashes: Record<string, number> = {};
  for (const [name, model, options] of golden) {
    const file = encodeModel(model(), options);
    writeFileSync(pathOf(name), file);
    writeFileSync(
      pathOf(`${name}.json`),
      `${(await contentsOf(file)).map((line) => JSON.stringify(line)).join("\n")}\n`,
    );
    hashes[name] = xxHash32(file);
  }
  writeFileSync(pathOf("hashes.json"), `${JSON.stringify(hashes, null, 2)}\n`);
}

const python = spawnSync("python3", ["-c", "import numpy"]).status === 0;

describe.each(golden)("%s", (name, model, options) => {
  const file = new Uint8Array(readFileSync(pathOf(name)));
  const contents = readFileSync(pathOf(`${name}.json`), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

  test("is what this version writes, byte by byte", () => {
    expect(encodeModel(model(), options)).toEqual(file);
  });

  test("decodes to what it did", async () => {
    expect(await contentsOf(file)).toEqual(contents);
  });

  test.skipIf(!python)("decodes to the same in Python, by the page that describes the format", () => {
    const reader = fileURLToPath(new URL("../../python/reader.py", import.meta.url));
    const printed = execFileSync("python3", [reader, pathOf(name)], { encoding: "utf8" });
    expect(
      printed
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual(contents);
  });
});

test("an update makes of the file before what it did, in Python, too", async () => {
  const base = new Uint8Array(readFileSync(pathOf("weights.bitdiet")));
  const path = pathOf("weights.bitdelta");
  const decoded = await decodeModel(base);
  const tensors = decoded.tensors.map(({ name, dtype, shape, values }, i): ModelTensor => {
    const change = (value: number, k: number) => (k % 3 === i % 3 ? value * 1.2 : value);
    const changed = values instanceof Float32Array ? values.map(change) : values;
    const bytes = async () => bytesIn({ name, dtype, shape, values: changed });
    const use =
      i % 2
        ? { kind: "weight" as const, channelAxis: 0, reason: "" }
        : { kind: "exact" as const, reason: "" };
    return { name, dtype, shape, use, bytes };
  });
  const named = Object.fromEntries(decoded.metadata.map(({ name, bytes }) => [name, bytes]));
  const next = { format: "", tensors: tensors.slice(1), metadata: { ...named, more: new Uint8Array(3) } };
  const { bytes } = await encodeUpdate(base, next);
  if (process.env.UPDATE_GOLDEN) writeFileSync(path, bytes);
  const update = new Uint8Array(readFileSync(path));
  expect(bytes).toEqual(update);
  const contents = await contentsOf(await applyUpdate(base, update));
  if (!python) return;
  const reader = fileURLToPath(new URL("../../python/reader.py", import.meta.url));
  const printed = execFileSync("python3", [reader, pathOf("weights.bitdiet"), path], { encoding: "utf8" });
  const lines = printed
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines).toEqual(contents);
});

test("every coder codes every layout, in one part and in two, with rows pruned and without", () => {
  const seen = new Set<string>();
  for (const name of golden.map(([name]) => name).filter((name) => name.startsWith("combinations")))
    for (const { name: tensor, quantized } of readHeader(new Uint8Array(readFileSync(pathOf(name))))
      .tensors) {
      const [layout] = tensor.split(",");
      seen.add(`${layout} by ${quantized!.coder}${tensor.includes("in part") ? ", pruned" : ""}`);
      if (quantized!.refinement) seen.add(`${layout} refined by ${quantized!.refinement.coder}`);
    }
  const layouts = ["rows", "columns", "sequence", "filters 1D", "OIHW", "HWIO", "depthwise", "volume"];
  const wanted = layouts.flatMap((layout) =>
    [0, 1, 2].flatMap((coder) => [
      `${layout} by ${coder}`,
      `${layout} by ${coder}, pruned`,
      `${layout} refined by ${coder}`,
    ]),
  );
  expect(wanted.filter((each) => !seen.has(each))).toEqual([]);
});

if (!python) console.warn("python3 with numpy is not installed: reader.py is not tested");
