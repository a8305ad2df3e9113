/**
 * A model's outputs for a list of inputs, and made-up inputs that the model does take.
 *
 *     const feeds = await runnableInputs(runner, model, { count: 32, seed: 1 });
 *     const reference = await runInputs(runner, feeds);
 *     const { value } = divergence(await runInputs(runner, feeds, replaced), reference);
 */
import type { Model } from "../../model.js";
import type { Runner, RunTensor } from "../runner.js";
import { hintsOf } from "./hints.js";
import { type Feeds, type MakeOptions, madeUpInputs } from "./made-up.js";
import { type InputHints, PICTURE_SIZE } from "./shapes.js";
import { isState, statePairs } from "./states.js";

/**
 * Outputs of each batch. A state that comes back in its own shape goes into the next batch: batches are consecutive steps then. States
 * are no outputs of their own.
 *
 * @throws as `Runner.run`
 */
export async function runInputs(
  runner: Runner,
  feeds: readonly Feeds[],
  replaced?: ReadonlyMap<string, Float32Array>,
): Promise<ReadonlyMap<string, RunTensor>[]> {
  const pairs = statePairs(
    runner.inputs.map(({ name }) => name),
    runner.outputs,
  );
  const states = new Map<string, RunTensor>();
  const outputs: ReadonlyMap<string, RunTensor>[] = [];
  const hidden = new Set(pairs.values());
  for (const feed of feeds) {
    const found = await runner.run(new Map([...feed, ...states]), replaced);
    for (const [input, output] of pairs) {
      const state = found.get(output);
      if (String(state?.shape) === String(feed.get(input)?.shape)) states.set(input, state!);
    }
    outputs.push(new Map([...found].filter(([name]) => !hidden.has(name) || hidden.size === found.size)));
  }
  return outputs;
}

/** A step of a model with states tells less than an input of its own: so many count as one. */
const STEPS = 8;

/** What to try where a model refuses the first inputs: it may want a length of its own, or have few words. */
const ATTEMPTS: readonly InputHints[] = [
  {},
  { length: 576, size: 320 }, // Silero's windows of 512, and 64 of what came before: of 512 alone it hears no voice
  { length: 512 },
  { length: 1536, size: 256 },
  { length: 128, size: 640 },
  { length: 16, size: 64, vocabulary: 16 },
  { length: 1, size: 32, vocabulary: 2 },
];

/** Pictures are not made smaller than this for speed. */
const MIN_SIZE = 64;

export interface RunnableOptions extends Pick<MakeOptions, "count" | "seed" | "makers"> {
  /** Seconds a run from which pictures of any size are made smaller. Default: they never are. */
  slow?: number;
  /** Seconds so far, of which `slow` are some. */
  clock?(): number;
}

/**
 * Made-up inputs of the first kind that the model runs with.
 *
 * @param model for what it says of its inputs beyond its signature
 * @param count of inputs; of a model with states, eight times as many steps
 * @throws {RunError} or {RangeError} if it takes none of them: that of the first attempt
 */
export async function runnableInputs(
  runner: Runner,
  model: Model,
  {
    count = 32,
    seed = 1,
    makers,
    slow = Infinity,
    clock = () => performance.now() / 1000,
  }: RunnableOptions = {},
): Promise<Feeds[]> {
  const known = await hintsOf(model);
  const made = (hints: InputHints, many: number) =>
    madeUpInputs(runner.inputs, { seed, makers, hints, count: many });
  let failure: unknown;
  for (const attempt of ATTEMPTS) {
    let hints = { ...known, ...attempt };
    try {
      const [first] = made(hints, 1);
      await runner.run(first);
      hints = await quickEnough(runner, hints, { slow, clock, first: (each) => made(each, 1)[0] });
      const hasState = [...first].some(([name, { data }]) => isState(name) && data.length > 0);
      return made(hints, hasState ? STEPS * count : count);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

/** The hints with the size halved until a run is no longer slow, as far as the model takes smaller pictures. */
async function quickEnough(
  runner: Runner,
  hints: InputHints,
  { slow, clock, first }: { slow: number; clock(): number; first(hints: InputHints): Feeds },
): Promise<InputHints> {
  const smaller = { ...hints, size: (hints.size ?? PICTURE_SIZE) / 2 };
  if (slow === Infinity || smaller.size < MIN_SIZE) return hints;
  const [feeds, fewer] = [first(hints), first(smaller)];
  if (shapesIn(feeds) === shapesIn(fewer)) return hints;
  const start = clock();
  await runner.run(feeds);
  if (clock() - start <= slow) return hints;
  try {
    await runner.run(fewer);
  } catch {
    return hints;
  }
  return quickEnough(runner, smaller, { slow, clock, first });
}

const shapesIn = (feeds: Feeds): string => [...feeds.values()].map(({ shape }) => shape.join()).join(" ");
