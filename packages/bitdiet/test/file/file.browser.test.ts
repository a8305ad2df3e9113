/** In Node and in a browser: the same bytes for the same model, and the same values. */
import { xxHash32 } from "@bitdiet/stream";
import { expect, test } from "vitest";
import { decodeModel } from "../../src/file/decode.js";
import { encodeModel } from "../../src/file/encode.js";
import { streamDecoder } from "../../src/loaders/stream.js";
import { bytesOf, everyKind } from "../samples.js";
import hashes from "./golden/hashes.json" with { type: "json" };

test.each([
  [0, "cabac.bitdiet"],
  [undefined, "weights.bitdiet"],
  [1, "ans.bitdiet"],
] as const)(
  "a model becomes the same file on every engine, slower coders having to gain %s",
  (minGain, name) => {
    expect(xxHash32(encodeModel(everyKind(), { minGain }))).toBe(hashes[name]);
  },
);

test("a file streamed from a Blob gives the same tensors as at once", async () => {
  const model = everyKind();
  const bytes = encodeModel(model);
  const decoder = streamDecoder();
  const tensors = new Map<string, Uint8Array>();
  const reader = new Blob([new Uint8Array(bytes)]).stream().getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    for (const item of await decoder.push(value as Uint8Array))
      if ("tensor" in item) tensors.set(item.tensor.name, bytesOf(item.tensor.values));
  }
  decoder.end();
  for (const { name, values } of (await decodeModel(bytes)).tensors)
    expect(tensors.get(name)).toEqual(bytesOf(values));
  expect(tensors.size).toBe(model.tensors.length);
});
