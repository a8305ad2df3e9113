// Compression that looks at what the network does with 64 training digits: bitdiet/calibrate on TF.js's wasm backend, with the
// gradient kernels that it lacks. A part of the page that is loaded when it is asked for.
// Example: `compressModel(model, { bits: 1 }, { quantize: await calibrateOnDigits(model, [0, 1], report) })` gives a file of about 8 kB.
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import { registerTrainingKernels } from "@bitdiet/wasm-training";
import type { Model, Quantize } from "bitdiet";
import { calibrate } from "bitdiet/calibrate";
import type { PixelRange } from "./messages.js";
import { calibrationDigits } from "./pictures.js";

/** @param model a layers model of 28×28 digits */
export async function calibrateOnDigits(
  model: Model,
  [black, white]: PixelRange,
  onProgress: (doing: string, done: number, total: number) => void,
): Promise<Quantize> {
  registerTrainingKernels();
  const { side, labels, pixels } = await calibrationDigits();
  const inputs = Float32Array.from(pixels, (pixel) => black + ((white - black) * pixel) / 255);
  return calibrate(model, { inputs, shape: [labels.length, side, side, 1] }, { onProgress });
}
