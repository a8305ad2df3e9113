/**
 * `bitdiet/run`: models that are run, whatever their format, and how far two runs are apart. `findRunner` of `bitdiet/node` finds the
 * runtime that is installed.
 *
 *     const runner = await onnxRunner(model, ort);
 *     const inputs = madeUpInputs(runner.inputs, { count: 16, seed: 1 });
 *     const { feeds } = pictureInput(runner.inputs, await pictureHints(model));
 *
 * And models compressed so that their outputs stay:
 *
 *     const { pieces } = await compressChecked(model, { bits: 5 }, await checkOutputs(model, runner));
 */
export {
  type Candidate,
  checkOutputs,
  compressChecked,
  defaultCandidates,
  type OutputCheck,
} from "./compress-checked.js";
export { type Divergence, divergence } from "./networks/divergence.js";
export { type Feeds, madeUpInputs } from "./networks/inputs/made-up.js";
export {
  type PictureInput,
  type PictureOrder,
  pictureHints,
  pictureInput,
} from "./networks/inputs/picture-input.js";
export type { InputHints } from "./networks/inputs/shapes.js";
export { type OnnxRuntime, onnxRunner } from "./networks/onnx/run.js";
export { RunError, type RunInput, type Runner, type RunTensor } from "./networks/runner.js";
export { type TfjsPackages, tfjsRunner } from "./networks/tfjs/run.js";
