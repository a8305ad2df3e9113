// What a network makes of pictures: its outputs, as answers if they are a row of classes for each picture, else as how far they are off.
// Example: `answersOf(await outputsFor(runner, feeds))` has 200 rows of ten probabilities for the digits.
import { floatValues, isFloat } from "bitdiet";
import type { Feeds, Runner, RunTensor } from "bitdiet/run";
import type { Answers, Errors } from "./answers.js";
import type { FeatureMaps } from "./messages.js";

/** Outputs for one picture, by name. */
export type Outputs = ReadonlyMap<string, RunTensor>;

/** Numbers that go in at once, which keeps the feature maps of a batch within some tens of megabytes. */
const BATCH_NUMBERS = 300_000;

/** @param feeds a run for each picture */
export async function outputsFor(
  runner: Runner,
  feeds: readonly Feeds[],
  onProgress: (share: number) => void = () => {},
): Promise<Outputs[]> {
  const [{ name, shape }, ...others] = runner.inputs;
  const isOpen = others.length === 0 && shape !== undefined && shape[0] === undefined;
  const size = feeds[0].get(name)!.data.length;
  let batch = isOpen ? Math.max(1, Math.floor(BATCH_NUMBERS / size)) : 1;
  const outputs: Outputs[] = [];
  while (outputs.length < feeds.length) {
    onProgress(outputs.length / feeds.length);
    const some = feeds.slice(outputs.length, outputs.length + batch);
    const found = some.length > 1 ? await together(runner, name, some) : [await runner.run(some[0])];
    if (found) outputs.push(...found);
    else batch = 1;
  }
  return outputs;
}

/** One run of several pictures; undefined if the network takes or gives only one at a time. */
async function together(
  runner: Runner,
  name: string,
  feeds: readonly Feeds[],
): Promise<Outputs[] | undefined> {
  const tensors = feeds.map((feed) => feed.get(name)!);
  const [{ dtype, shape, data }] = tensors;
  const all = new (data.constructor as Float32ArrayConstructor)(feeds.length * data.length);
  for (const [i, tensor] of tensors.entries()) all.set(tensor.data as Float32Array, i * data.length);
  const x = { dtype, shape: [feeds.length, ...shape.slice(1)], data: all };
  const found = await runner.run(new Map([[name, x]])).catch(() => undefined);
  if (!found || [...found.values()].some(({ shape: [count] }) => count !== feeds.length)) return undefined;
  return feeds.map(
    (_, i) =>
      new Map(
        [...found].map(
          ([
            output,
            {
              dtype,
              shape: [, ...one],
              data,
            },
          ]) => {
            const size = data.length / feeds.length;
            const own = data.slice(i * size, (i + 1) * size) as RunTensor["data"];
            return [output, { dtype, shape: [1, ...one], data: own }];
          },
        ),
      ),
  );
}

/** Rows of probabilities, by softmax where they are none already; undefined unless there is one row of classes a picture and nothing else. */
export function answersOf(outputs: readonly Outputs[]): Answers | undefined {
  const [name, ...others] = floatsIn(outputs[0]);
  const { shape, data } = outputs[0].get(name)!;
  const isRow = others.length === 0 && shape.filter((extent) => extent > 1).length === 1;
  if (!isRow) return undefined;
  const classes = data.length;
  const rows = outputs.map((output) => probabilities(numbersOf(output.get(name)!)));
  if (rows.some(({ length }) => length !== classes)) return undefined;
  const all = new Float32Array(rows.length * classes);
  for (const [i, row] of rows.entries()) all.set(row, i * classes);
  return { classes, probabilities: all };
}

function probabilities(outputs: Float32Array): Float32Array {
  const sum = outputs.reduce((a, b) => a + b, 0);
  if (Math.abs(sum - 1) < 4e-3 && outputs.every((value) => value >= 0)) return outputs;
  const largest = outputs.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = outputs.map((value) => Math.exp(value - largest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/**
 * How far each picture's outputs are off: the root of the squared error over the variance of the output among all pictures, mean of all
 * outputs. An output that has other extents than before counts as lost, 1.
 */
export function errorsOf(now: readonly Outputs[], before: readonly Outputs[]): Errors {
  const squares = new Float64Array(before.length);
  const names = floatsIn(before[0]);
  for (const name of names) {
    const references = before.map((outputs) => numbersOf(outputs.get(name)!));
    const variance = varianceOf(references);
    for (const [i, reference] of references.entries()) {
      const found = numbersOf(now[i].get(name)!);
      squares[i] += found.length === reference.length ? meanSquare(found, reference) / variance : 1;
    }
  }
  return { errors: Float32Array.from(squares, (square) => Math.sqrt(square / names.length)) };
}

function meanSquare(found: Float32Array, reference: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < found.length; i++)
    if (Number.isFinite(reference[i])) sum += (found[i] - reference[i]) ** 2;
  return sum / Math.max(1, found.length);
}

/** Of all numbers together; never 0. */
function varianceOf(parts: readonly Float32Array[]): number {
  let [count, sum, squares] = [0, 0, 0];
  for (const part of parts) {
    for (const value of part) {
      if (!Number.isFinite(value)) continue;
      count++;
      sum += value;
      squares += value * value;
    }
  }
  const mean = sum / Math.max(1, count);
  return Math.max(squares / Math.max(1, count) - mean * mean, 1e-12);
}

/** @throws {Error} if there is nothing to compare */
function floatsIn(outputs: Outputs): string[] {
  const names = [...outputs.keys()].filter((name) => isFloat(outputs.get(name)!.dtype));
  if (names.length === 0) throw new Error("None of its outputs are floats, which alone can be compared.");
  return names;
}

function numbersOf({ dtype, data }: RunTensor): Float32Array {
  if (data instanceof Float32Array) return data;
  if (!isFloat(dtype)) return Float32Array.from(data as Int32Array, Number);
  const { buffer, byteOffset, byteLength } = data as Uint16Array;
  return floatValues(dtype, new Uint8Array(buffer, byteOffset, byteLength));
}

/** The feature maps of one layer for one picture; other values are taken as channels of one pixel. */
export async function mapsOf(
  runner: Runner,
  layer: string,
  feeds: Feeds,
  isChannelsFirst: boolean,
): Promise<FeatureMaps> {
  const tensor = (await runner.run(feeds, undefined, [layer])).get(layer)!;
  const values = numbersOf(tensor);
  const [, second, third, last] = tensor.shape;
  if (tensor.shape.length !== 4) return { shape: [1, 1, values.length], values };
  if (!isChannelsFirst) return { shape: [second, third, last], values };
  const area = third * last;
  const lastly = new Float32Array(values.length);
  for (let c = 0; c < second; c++)
    for (let i = 0; i < area; i++) lastly[i * second + c] = values[c * area + i];
  return { shape: [third, last, second], values: lastly };
}
