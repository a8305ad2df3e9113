/**
 * Codecs and frames as they were when the format was fixed: encoded to the same bytes and decoded to the same values by every
 * engine. A change here is a breaking release. Runs in Node and in Chromium; python.test.ts has the Python reader do it.
 */
import { xxHash32 } from "@bitdiet/stream";
import { describe, expect, it } from "vitest";
import { featureCodec } from "../src/index.js";
import { golden } from "./golden.js";
import { film } from "./sources.js";

const bytesOf = (text: string) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
const hashOf = ({ buffer }: Float32Array) => xxHash32(new Uint8Array(buffer as ArrayBuffer));

/** xxHash32 of the values of each frame, as little-endian float32. */
const VALUES: Record<string, number[]> = {
  none: [567579570, 4254207338, 1848224235],
  butterfly: [3578104323, 2438908989, 3518627483],
  stretched: [768138033, 3301993271, 2465315162],
};

describe.each(Object.entries(golden))("golden: %s", (name, { codec: file, frames }) => {
  const codec = featureCodec(bytesOf(file));
  const [alone, next, coarser] = frames.map(bytesOf);
  const first = codec.decode(alone);

  it("decodes to the same values", () => {
    const values = [first, codec.decode(next, { reference: first }), codec.decode(coarser)];
    expect(values.map(hashOf)).toEqual(VALUES[name]);
  });

  it("encodes to the same bytes", () => {
    expect(codec.encode(film(7, codec.shape))).toEqual(alone);
    expect(codec.encode(film(8, codec.shape), { reference: first })).toEqual(next);
    expect(codec.encode(film(9, codec.shape), { coarseness: 6 })).toEqual(coarser);
  });
});
