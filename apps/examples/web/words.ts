// What the page says of a network that is open, in words.
// Example: `verdictOn(opened, squeezed)` is "Same answer as before on 8 of 8 pictures."
import { rootMeanSquare } from "./answers.js";
import type { MadeUp, Opened, Squeezed, Trial } from "./messages.js";
import { percentText } from "./text.js";
import { score } from "./tiles.js";

export function verdictOn({ trial }: Opened, { now, madeUp }: Squeezed): string {
  if ("problem" in trial)
    return `Not tried on pictures. ${trial.problem}${madeUp ? ` ${wordsOn(madeUp)}` : ""}`;
  if (!now) return "";
  const all = trial.pictures.length;
  if ("errors" in now)
    return `Outputs off by ${percentText(rootMeanSquare(now))} on ${all} pictures (root mean square).`;
  const right = score(trial, now);
  return trial.pictures[0].label === undefined
    ? `Same answer as before on ${right} of ${all} pictures.`
    : `Reads ${right} of ${all} right; before, ${score(trial, trial.before)}.`;
}

const wordsOn = ({ agreement, error }: MadeUp): string =>
  agreement === undefined
    ? `On made-up inputs its outputs are off by ${percentText(error)} (root mean square).`
    : `On made-up inputs ${percentText(agreement)} of its answers are what they were.`;

export function legendOf({ pictures, before }: Trial): string {
  if ("errors" in before) return `${pictures.length} pictures: marked where the outputs are far off`;
  return pictures[0].label === undefined
    ? `${pictures.length} pictures: marked where the answer changed`
    : `${pictures.length} pictures it never saw in training: marked where it is wrong`;
}

/** @param isBundled whether the network is the page's own */
export function hintOn({ calibratesOn }: Opened, { isInk }: Trial, isBundled: boolean): string {
  if (isInk) return isBundled ? "" : "These are digits, for want of better: drop pictures that it knows.";
  return calibratesOn === undefined
    ? "With 8 pictures and more, half of them are there to calibrate on."
    : "These judge. The others can be calibrated on.";
}

export function leadOn({ name }: Opened, isBundled: boolean): string {
  const what = isBundled ? "This one reads handwritten digits." : `Your network: ${name}.`;
  return `${what} Drag the slider: its weights are rounded, entropy-coded, decoded and put to work again, here in your browser.`;
}

export function snippetFor({ name, format }: Opened): string {
  if (format === "onnx")
    return [
      'import * as ort from "onnxruntime-web";',
      'import { onnxFromBitdiet } from "bitdiet/onnx";',
      "",
      `const { model, externalData } = await onnxFromBitdiet("${name}.bitdiet");`,
      "const session = await ort.InferenceSession.create(model, { externalData });",
    ].join("\n");
  const load = format === "tfjs-layers" ? "loadLayersModel" : "loadGraphModel";
  return [
    'import * as tf from "@tensorflow/tfjs";',
    'import { fromBitdiet } from "bitdiet/tfjs";',
    "",
    `const model = await tf.${load}(fromBitdiet("${name}.bitdiet"));`,
  ].join("\n");
}
