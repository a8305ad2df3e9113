// A recipe's training on several threads, of one process or of several. Each thread goes through the recipe itself, on the same
// testbed, up to the training in question: that gives it the same variables and the same loss, on its share of every batch. A
// recipe that trains twice skips the first training on the second's threads, since values come from the trainer at every step
// anyway.
import { oneRank, type Ranks } from "@bitdiet/zoo/ring/ranks";
import { agreeWith, type Replica, startWorkers } from "@bitdiet/zoo/training/data-parallel";
import type { TrainOn } from "@bitdiet/zoo/training/fine-tune";
import { train } from "@bitdiet/zoo/training/loop";
import { type Recipe, testbedOf } from "./recipe.js";
import { loadTestbed, type TestbedSource } from "./testbed.js";

interface Order {
  source: TestbedSource;
  recipe: string;
  run: string;
  /** Which of the run's trainings: 0 is the first. */
  training: number;
}

/** Where a training is cut into parts. */
export interface Parts {
  /** Threads of this process. */
  workers: number;
  /** Parts of each batch, over all processes. */
  shares?: number;
  /** The processes that train together; this one alone unless given. */
  ranks?: Ranks;
}

/** For each run: trains on these threads and ranks; rank 0 alone keeps checkpoints. */
export function trainOnWorkers(source: TestbedSource, { ranks = oneRank, ...parts }: Parts) {
  return (recipe: string, run: string): TrainOn => {
    let training = 0;
    return async ({ loss: _, checkpoint, ...rest }) => {
      const options: Order = { source, recipe, run, training: training++ };
      const module = new URL(import.meta.url);
      const told = checkpoint?.stop;
      const { gradients, stop } = await startWorkers({ module, options, ranks, told, ...parts });
      const kept = ranks.rank === 0 ? checkpoint : undefined;
      try {
        await train({ ...rest, checkpoint: kept, gradients, agree: agreeWith(ranks) });
      } finally {
        await stop();
      }
    };
  };
}

/** A thread's side. */
export const replica: Replica<Order> = async ({ source, recipe, run, training }, share) => {
  const { RECIPES } = await import("./recipes.js");
  const found = (RECIPES as Recipe[]).find(({ name }) => name === recipe)?.runs.find(({ id }) => id === run);
  if (!found) throw new RangeError(`expected a run of a recipe, got ${recipe}.${run}`);
  const testbed = await loadTestbed(source);
  return new Promise((resolve, reject) => {
    let before = training;
    const trainOn: TrainOn = async ({ groups, loss }) => {
      if (before-- > 0) return;
      resolve({ variables: groups.flatMap(({ variables }) => variables), loss });
      await new Promise<never>(() => {}); // from here on, the trainer has the word
    };
    found.measure({ ...testbedOf(found, testbed), share, trainOn }).catch(reject);
  });
};
