/** The Python reader, which shares nothing with this package but FORMAT.md, decodes the golden frames to the same bits. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { featureCodec, learnFeatureCodec } from "../src/index.js";
import { golden } from "./golden.js";
import { butterfly, film, type ShapeOf } from "./sources.js";

const python = process.env.PYTHON ?? "python3";
const hasPython = spawnSync(python, ["--version"]).status === 0;
if (!hasPython) console.warn(`The Python reader is not tried: no ${python} (set PYTHON).`);
const reader = join(import.meta.dirname, "../python/reader.py");

/** Values of frames, each the reference of the next one. */
function inPython(codec: Uint8Array, frames: Uint8Array[]): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "bitdiet-features-"));
  try {
    const paths = [codec, ...frames].map((bytes, i) => {
      writeFileSync(join(folder, `${i}`), bytes);
      return join(folder, `${i}`);
    });
    return execFileSync(python, [reader, ...paths], { maxBuffer: 2 ** 28 });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function here(file: Uint8Array, frames: Uint8Array[]): Buffer {
  const codec = featureCodec(file);
  let reference: Float32Array | undefined;
  const values = frames.map((frame) => {
    reference = codec.decode(frame, { reference });
    return Buffer.from(reference.buffer);
  });
  return Buffer.concat(values);
}

it.skipIf(!hasPython).each(Object.keys(golden))("reads the golden frames of %s", (name) => {
  const file = Buffer.from(golden[name].codec, "base64");
  const frames = golden[name].frames.map((text) => new Uint8Array(Buffer.from(text, "base64")));
  expect(inPython(file, frames).equals(here(file, frames))).toBe(true);
});

it.skipIf(!hasPython)("reads frames of 70 rows, whose map of skipped pixels is in four bands", async () => {
  const shape: ShapeOf = [70, 9, 3];
  const samples = [0, 1, 2].map((time) => film(time, shape));
  const codec = await learnFeatureCodec(samples, { shape, transform: butterfly, targetBits: 2 });
  const alone = codec.encode(samples[0]);
  const reference = codec.decode(alone);
  const frames = [alone, codec.encode(film(1, shape), { reference })];
  expect(inPython(codec.bytes, frames).equals(here(codec.bytes, frames))).toBe(true);
});
