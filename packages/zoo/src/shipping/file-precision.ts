// Training's last act: what isn't an integer becomes what a file holds in few bytes, before anything is judged. Scales go onto a
// grid, biases become bfloat16. Example: a scale of 0.29 becomes 2^(-29/16) = 0.2847.
import type { FrozenScale, Parameters, Scales } from "@bitdiet/compression-aware";
import * as tf from "@tensorflow/tfjs-core";
import { floatBytes, floatValues, nearestOnGrid } from "bitdiet";

/** Steps of the grid are 2^(n / 16): neighbours differ by 4.4 %. */
const PARTS_PER_OCTAVE = 16;

/** The scales on a grid that a file holds in a few bits each. Nothing else moves them afterwards. */
export function scalesOnGrid(scales: Scales<FrozenScale>): Scales<FrozenScale> {
  const nearest = (scale: number) => nearestOnGrid(scale, PARTS_PER_OCTAVE);
  const all = (some: Record<string, FrozenScale>) =>
    Object.fromEntries(
      Object.entries(some).map(([name, scale]) => [
        name,
        typeof scale === "number" ? nearest(scale) : scale.map(nearest),
      ]),
    );
  return { weight: all(scales.weight), activation: all(scales.activation) };
}

/** The parameters, those without a weight scale rounded to bfloat16. Disposes of the variables where it differs. */
export function shortParameters(parameters: Parameters, { weight }: Scales<FrozenScale>): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).map(([name, variable]) => {
      if (name in weight) return [name, variable];
      const short = floatBytes("bfloat16", variable.dataSync<"float32">());
      const shipped = tf.tensor(floatValues("bfloat16", short), variable.shape);
      variable.dispose();
      return [name, shipped];
    }),
  );
}
