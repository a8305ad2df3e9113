import { expect, test } from "vitest";
import { brotliBytes, plainFiles } from "../src/real-models/baselines.js";
import { chords } from "../src/real-models/sounds.js";

const values = Float32Array.of(1, -4, 2, 8, 0.25, -1, 0, 0.5);
const weight = {
  name: "w",
  dtype: "float32",
  shape: [2, 4],
  bytes: new Uint8Array(values.slice().buffer),
  channelAxis: 0,
};
const bias = { name: "b", dtype: "float32", shape: [2], bytes: new Uint8Array(Float32Array.of(1, 2).buffer) };
const file = (name: string) =>
  plainFiles([weight, bias], new Uint8Array(8)).find((each) => each.name.startsWith(name))!;

test("int8 per channel puts each channel's largest magnitude at 127, and is half a step off at most", () => {
  const decoded = file("int8 per channel").values.get("w")!;
  for (const [i, value] of values.entries())
    expect(Math.abs(decoded[i] - value)).toBeLessThanOrEqual(0.5001 * ((i < 4 ? 8 : 1) / 127));
  expect([decoded[3], decoded[5]]).toEqual([8, -1]);
});

test("uint8 per tensor spans the least to the largest value in 255 steps, and biases stay", () => {
  const { values: decoded } = file("uint8 per tensor");
  for (const [i, value] of values.entries())
    expect(Math.abs(decoded.get("w")![i] - value)).toBeLessThanOrEqual(0.5001 * (12 / 255));
  expect(decoded.has("b")).toBe(false);
});

test("channels are found along any axis", () => {
  const turned = { ...weight, shape: [4, 2], channelAxis: 1 };
  const [decoded] = plainFiles([turned], new Uint8Array(0))
    .filter(({ name }) => name.startsWith("int8"))
    .map((each) => each.values.get("w")!);
  expect(Math.abs(decoded[6])).toBe(0);
  expect(Math.abs(decoded[1] - -4)).toBeLessThanOrEqual((0.5001 * 8) / 127);
});

test("bytes are those of brotli over structure and numbers together", () => {
  const noise = Uint8Array.from({ length: 500 }, (_, i) => (i * i * 2_654_435_761) >>> 21);
  const [float32, float16] = plainFiles([weight, bias], noise);
  expect(float32.bytes).toBe(brotliBytes(Buffer.concat([noise, weight.bytes, bias.bytes])));
  expect(float16.bytes).toBeLessThan(float32.bytes);
});

test("a chord's partials fall as 1 / k and decay", () => {
  const sound = chords([[69]], 22_050, 22_050);
  const power = (from: number) => sound.slice(from, from + 2000).reduce((sum, x) => sum + x * x, 0);
  expect(Math.log(power(10_000) / power(0))).toBeCloseTo(-6 * (10_000 / 22_050), 0);
});
