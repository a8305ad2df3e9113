/**
 * Inputs of the user's as a model takes them: one run each, in the model's types, with what was not given (masks, positions, states)
 * filled in as made-up inputs would have it.
 *
 *     singles(runner, new Map([["input_ids", { shape: [64, 128], values }]])); // 64 feeds of [1, 128]
 */
import { uniform } from "../random.js";
import type { RunInput } from "../runner.js";
import { asData, type Feeds, madeUpInputs } from "./made-up.js";
import type { NamedArray } from "./npy.js";

/** Of the choice, and of what is made up. */
const [CHOICE_SEED, SEED] = [4, 5];

/** As many of them, in their order: a seeded choice. */
export function chosen<Item>(items: readonly Item[], count: number): Item[] {
  const next = uniform(CHOICE_SEED);
  let left = Math.min(count, items.length);
  return items.filter((_, i) => {
    const isTaken = next() * (items.length - i) < left;
    if (isTaken) left--;
    return isTaken;
  });
}

/**
 * Arrays whose first axis counts inputs.
 *
 * @param arrays by input name; a single one for a model's only input may have any name
 * @throws {RangeError} if a name is not the model's, or the arrays do not hold as many
 */
export function singles(inputs: readonly RunInput[], arrays: ReadonlyMap<string, NamedArray>): Feeds[] {
  const [[, only]] = arrays;
  const byName =
    inputs.length === 1 && arrays.size === 1 && !arrays.has(inputs[0].name)
      ? new Map([[inputs[0].name, only]])
      : arrays;
  const [count] = only.shape;
  for (const [name, { shape }] of byName) {
    if (!inputs.some((input) => input.name === name))
      throw new RangeError(`expected inputs ${inputs.map((input) => input.name).join(", ")}, got ${name}`);
    if (shape[0] !== count) throw new RangeError(`${name}: expected ${count} inputs, got ${shape[0]}`);
  }
  return Array.from({ length: count }, (_, i) => {
    const parts = [...byName].map(([name, { shape, values }]) => {
      const input = inputs.find((each) => each.name === name)!;
      const own = shape.slice(1);
      const size = values.length / count;
      // [1, ...] of a batch, the rest where that alone has the input's rank.
      const single = input.shape?.length === own.length ? own : [1, ...own];
      return [name, { shape: single, values: values.subarray(i * size, (i + 1) * size) }] as const;
    });
    return completed(inputs, new Map(parts));
  });
}

/** One run: what is given, and the model's other inputs made up to go with it. */
export function completed(inputs: readonly RunInput[], given: ReadonlyMap<string, NamedArray>): Feeds {
  const isMissing = inputs.some(({ name }) => !given.has(name));
  const length = Math.max(1, ...[...given.values()].map(({ shape }) => shape[1] ?? 1));
  const others = isMissing ? madeUpInputs(inputs, { count: 1, seed: SEED, hints: { length } })[0] : new Map();
  return new Map(
    inputs.map(({ name, dtype }) => {
      const own = given.get(name);
      return [name, own ? { dtype, shape: own.shape, data: asData(dtype, own.values) } : others.get(name)!];
    }),
  );
}
