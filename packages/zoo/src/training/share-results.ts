// What all shares of a step found besides gradients, known to every rank: losses, logged numbers, whether one was told to
// end, and whether all are at the same values still.
import type { Ranks } from "../ring/ranks.js";
import type { Share, StepResult } from "./data-parallel.js";
import { sharedFloats } from "./flat-values.js";
import type { StepGradients } from "./loop.js";

/** What this rank has. */
export interface Own {
  results: readonly StepResult[];
  /** Its shares, as many as there are results. */
  own: readonly Share[];
  step: number;
  /** Of the variables' values. */
  checksum: number;
  isTold: boolean;
}

/** A rank's part of the sum: whether it was told to end, and two halves of its checksum. */
const OF_RANK = 3;

/**
 * Means over all shares, to the bit the same for any number of ranks: a sum of numbers that are 0 but in one place is exact.
 *
 * @throws {Error} if another rank's variables have other values
 */
export async function gather(
  ranks: Ranks,
  { results, own, step, checksum, isTold }: Own,
): Promise<Omit<StepGradients, "gradients">> {
  const names = Object.keys(results[0].logged);
  const width = 1 + names.length;
  const { count } = own[0];
  const size = count * width + OF_RANK * ranks.count;
  const [mine, all] = [sharedFloats(size), sharedFloats(size)];
  for (const [i, { loss, logged }] of results.entries())
    mine.set([loss, ...names.map((name) => logged[name])], own[i].index * width);
  const check = [checksum >>> 16, checksum & 0xffff];
  mine.set([Number(isTold), ...check], count * width + OF_RANK * ranks.rank);
  await ranks.sum([mine], all);
  const ofRanks = Array.from({ length: ranks.count }, (_, rank) =>
    all.subarray(count * width + OF_RANK * rank),
  );
  const other = ofRanks.findIndex(([, high, low]) => high !== check[0] || low !== check[1]);
  if (other >= 0)
    throw new Error(
      `rank ${other} has other values than rank ${ranks.rank} at step ${step}: do both run the same code?`,
    );
  const mean = (column: number) => {
    let sum = 0;
    for (let share = 0; share < count; share++) sum += all[share * width + column];
    return sum / count;
  };
  return {
    loss: mean(0),
    logged: Object.fromEntries(names.map((name, i) => [name, mean(1 + i)])),
    isTold: ofRanks.some(([told]) => told > 0),
  };
}
