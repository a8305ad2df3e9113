// The smallest file of a network whose outputs stay, by the search that `bitdiet compress` makes where no size is asked for: the network
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
  quantize: Quantize;
  check: OutputCheck;
}

/**
 * @param feeds of the visitor's, the second half of which judges
 * @returns undefined if the network cannot be run
 */
export async function safePoint(
  model: Model,
  runner: Runner,
  feeds: readonly Feeds[] | undefined,
  onProgress: (doing: string, share: number) => void,
): Promise<SafePoint | undefined> {
  const report = (doing: string, done: number, total: number) => onProgress(doing, done / total);
  try {
    const check = await checkOutputs(model, runner, { feeds, onProgress: report });
    const candidates = defaultCandidates(model, check);
    const { report: found } = await compressChecked(model, undefined, check, {
      candidates,
      onProgress: report,
    });
    const { quantize } = candidates.find(({ name }) => name === found.method)!;
    return { bits: Number.isFinite(found.bits) ? found.bits : undefined, quantize, check };
  } catch (error) {
    console.info(`The network's outputs were not compared: ${(error as Error).message}`);
    return undefined;
  }
}
