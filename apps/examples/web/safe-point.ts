// The smallest file of a network whose outputs stay, by the search that `bitdiet compress` makes where no size is asked for: the network
// is run on made-up inputs, before and after.
// Example: `(await safePoint(model, onProgress))?.bits` is 8.1 for MobileNet: there the slider begins.

import * as core from "@tensorflow/tfjs-core";
import type { Model, Quantize } from "bitdiet";
import { checkOutputs, compressChecked, defaultCandidates, tfjsRunner } from "bitdiet/run";
import { startBackend } from "./network.js";

export interface SafePoint {
  /** Mean bits of a weight. */
  bits: number;
  quantize: Quantize;
}

/** @returns undefined if the network cannot be run on made-up inputs, or has nothing to round */
export async function safePoint(
  model: Model,
  onProgress: (doing: string, share: number) => void,
): Promise<SafePoint | undefined> {
  const report = (doing: string, done: number, total: number) => onProgress(doing, done / total);
  try {
    await startBackend();
    const runner = await tfjsRunner(
      model,
      model.format === "tfjs-layers"
        ? { core, layers: await import("@tensorflow/tfjs-layers") }
        : { core, converter: await import("@tensorflow/tfjs-converter") },
    );
    try {
      const check = await checkOutputs(model, runner, { onProgress: report });
      const candidates = defaultCandidates(model, check);
      const { report: found } = await compressChecked(model, undefined, check, {
        candidates,
        onProgress: report,
      });
      const { quantize } = candidates.find(({ name }) => name === found.method)!;
      return Number.isFinite(found.bits) ? { bits: found.bits, quantize } : undefined;
    } finally {
      await runner.dispose();
    }
  } catch (error) {
    console.info(`The network's outputs were not compared: ${(error as Error).message}`);
    return undefined;
  }
}
