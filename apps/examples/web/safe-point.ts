// The smallest file of a network whose outputs stay, by the search that `bitdiet compress` makes first where no size is asked for: the network
// is run on the visitor's pictures or on made-up inputs, before and after.
// Example: `(await safePoint(model, runner, undefined, onProgress))?.bits` is 8.1 for MobileNet: there the slider begins.
import type { Model, Quantize } from "bitdiet";
import {
  checkOutputs,
  compressChecked,
  defaultCandidates,
  type Feeds,
  type OutputCheck,
  type Runner,
} from "bitdiet/run";

export interface SafePoint {
  /** Mean bits of a weight; undefined if there is nothing to round. */
  bits?: number;
  /** The lambda that led there. */
  lambda?: number;
  quantize: Quantize;
  check: OutputCheck;
}

/**
 * @param feeds of the visitor's, the second half of which judges. Of pictures in which the network sees nothing there is nothing to
 *   compare: then made-up inputs are taken, too
 * @returns undefined if the network cannot be run
 */
export async function safePoint(
  model: Model,
  runner: Runner,
  feeds: readonly Feeds[] | undefined,
  onProgress: OnProgress,
): Promise<SafePoint | undefined> {
  const found = await safePointOn(feeds, model, runner, onProgress);
  if (found?.bits !== undefined || !feeds) return found;
  return (await safePointOn(undefined, model, runner, onProgress)) ?? found;
}

/** A check's patience is in seconds of Node's runtimes. One thread of WebAssembly takes about twice as long, and shows how far it is. */
const clock = () => performance.now() / 2000;

type OnProgress = (doing: string, share: number) => void;

async function safePointOn(
  feeds: readonly Feeds[] | undefined,
  model: Model,
  runner: Runner,
  onProgress: OnProgress,
): Promise<SafePoint | undefined> {
  const report = (doing: string, done: number, total: number) => onProgress(doing, done / total);
  try {
    const check = await checkOutputs(model, runner, { feeds, clock, onProgress: report });
    // The likeliest way alone: that another one is better is rare, and to look takes as long again.
    const [likeliest] = defaultCandidates(model, check);
    const how = { candidates: [likeliest], onProgress: report };
    const { bits, lambda } = (await compressChecked(model, undefined, check, how)).report;
    const { quantize } = likeliest;
    return { bits: Number.isFinite(bits) ? bits : undefined, lambda, quantize, check };
  } catch (error) {
    console.info(`The network's outputs were not compared: ${(error as Error).message}`);
    return undefined;
  }
}
