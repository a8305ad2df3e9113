import { expect, test } from "vitest";
import { CorruptInputError, changeSender, changesIn } from "../../src/index.js";
import { normals } from "../formats/small-models.js";

const SHAPE = [3, 3, 8, 40];
const SIZE = 2880;

test("what a round loses is sent later: sums stay as near as a single round is off", async () => {
  const sender = changeSender({ bits: 0.9 });
  const [sum, told] = [new Float64Array(SIZE), new Float64Array(SIZE)];
  const energy = (values: ArrayLike<number>) =>
    Array.from(values).reduce((total, value) => total + value ** 2, 0);
  const errors: number[] = [];
  for (let round = 0; round < 30; round++) {
    const values = normals(SIZE, round, 0.01);
    const bytes = sender.send([{ name: "w", shape: SHAPE, values }]);
    expect((8 * bytes.length) / SIZE).toBeLessThanOrEqual(0.9);
    const received = (await changesIn(bytes)).get("w")!;
    for (let i = 0; i < SIZE; i++) {
      sum[i] += values[i];
      told[i] += received[i];
    }
    errors.push(energy(sum.map((value, i) => value - told[i])));
  }
  // Without feedback errors would add up to many times this.
  expect(Math.max(...errors.slice(10)) / energy(normals(SIZE, 0, 0.01))).toBeLessThan(4);
  expect(errors.at(-1)! / energy(sum)).toBeLessThan(0.15);
});

test("a change that ends is told to its end; zeros are a few bytes", async () => {
  const sender = changeSender({ bits: 2 });
  const values = normals(400, 1);
  const told = new Float64Array(400);
  for (let round = 0; round < 12; round++) {
    const bytes = sender.send([
      { name: "w", shape: [400], values: round === 0 ? values : new Float32Array(400) },
    ]);
    (await changesIn(bytes)).get("w")!.forEach((value, i) => {
      told[i] += value;
    });
  }
  const error = values.reduce((total, value, i) => total + (value - told[i]) ** 2, 0);
  expect(error / 400).toBeLessThan(0.02);
  expect(
    changeSender().send([{ name: "w", shape: [400], values: new Float32Array(400) }]).length,
  ).toBeLessThan(60);
});

test("changes of one size, as Adam's are, are told from the first round on, within the bits", () => {
  const sender = changeSender();
  for (let round = 0; round < 4; round++) {
    const jitter = normals(20_000, round, 0.3);
    const values = normals(20_000, 10 + round).map((value, i) => Math.sign(value) * (1 + jitter[i]));
    const bits = (8 * sender.send([{ name: "w", shape: [20_000], values }]).length) / 20_000;
    expect(bits).toBeGreaterThan(0.3);
    expect(bits).toBeLessThanOrEqual(0.6);
  }
});

test("refuses what does not fit, and damaged bytes", async () => {
  const sender = changeSender();
  const bytes = sender.send([{ name: "w", shape: [40], values: normals(40, 1) }]);
  const send = (values: Float32Array) => () => sender.send([{ name: "w", shape: [values.length], values }]);
  expect(send(new Float32Array(41))).toThrow("w: expected 40 values, got 41");
  expect(send(new Float32Array(40).fill(Number.NaN))).toThrow("w: expected finite numbers");
  bytes[bytes.length - 1] ^= 1;
  await expect(changesIn(bytes)).rejects.toThrow(CorruptInputError);
  expect(() => changeSender({ bits: 0 })).toThrow("bits: expected a number above 0, got 0");
});
