/**
 * A model's outputs on given inputs, how far they are apart, and how far those of the models are that were made from it.
 *
 *     const { judge } = await outputJudge(model, runner, feeds);
 *     await judge(decoded); // { kind: "kl", value: 0.004, agreement: 0.98 }
 */
import { floatValues } from "../formats/floats.js";
import { isFloat, type Model } from "../model.js";
import { type Divergence, divergence } from "../networks/divergence.js";
import type { Feeds } from "../networks/inputs/made-up.js";
import { runInputs } from "../networks/inputs/run.js";
import type { Runner } from "../networks/runner.js";
import { spread } from "../networks/spread.js";

/** @throws as `Runner.run` */
export async function outputJudge(
  model: Model,
  runner: Runner,
  feeds: readonly Feeds[],
): Promise<{ judge(decoded: Model): Promise<Divergence>; spread: number }> {
  const reference = await runInputs(runner, feeds);
  const judge = async (decoded: Model) => {
    const own = hasOtherGraph(model, decoded) ? await runner.reopen?.(decoded) : undefined;
    const outputs = own
      ? await runInputs(own, feeds)
      : await runInputs(runner, feeds, await changedValues(model, decoded));
    await own?.dispose();
    return divergence(outputs, reference);
  };
  return { judge, spread: spread(reference) };
}

/** Whether values alone do not tell what became of the model: calibration of ONNX folds batch norms. */
function hasOtherGraph(model: Model, decoded: Model): boolean {
  return Object.entries(model.metadata).some(([name, bytes]) => {
    const other = decoded.metadata[name];
    return other?.length !== bytes.length || other.some((byte, i) => byte !== bytes[i]);
  });
}

/** Values of the float tensors that are not what they were. */
async function changedValues(model: Model, decoded: Model): Promise<Map<string, Float32Array>> {
  const originals = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
  const changed = new Map<string, Float32Array>();
  for (const { name, dtype, bytes } of decoded.tensors) {
    const original = originals.get(name);
    if (!original || !isFloat(dtype)) continue;
    const [before, after] = [await original.bytes(), await bytes()];
    if (before.length === after.length && before.every((byte, i) => byte === after[i])) continue;
    changed.set(name, floatValues(dtype, after));
  }
  return changed;
}
