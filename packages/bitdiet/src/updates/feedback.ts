/**
 * Changes that are sent round by round, as clients of federated learning do: each is told coarsely, and what it lost is added to the
 * next one (error feedback: Seide et al., Interspeech 2014; Karimireddy et al., arXiv 1901.09847), so nothing is lost for good.
 *
 *     const sender = changeSender();
 *     const bytes = sender.send([{ name: "conv1", shape: [3, 3, 1, 16], values: change }]);   // of each round
 *     (await changesIn(bytes)).get("conv1");   // what whoever receives them adds
 */
import { type DecodeLimits, decodeModel } from "../file/decode.js";
import { encodeModel } from "../file/encode.js";
import { dequantize } from "../file/quantized-tensor.js";
import { quantizeWeights } from "../quantize/weights.js";

/** By how much the values of a tensor have changed. */
export interface Change {
  name: string;
  shape: readonly number[];
  values: Float32Array;
}

export interface ChangeSender {
  /**
   * The changes of a round, and what earlier rounds have lost, as a .bitdiet file.
   *
   * @param changes of the same tensors each round
   * @throws {RangeError} if a tensor has another number of values than before, or values that are no numbers
   */
  send(changes: readonly Change[]): Uint8Array;
}

/** About half a bit a value. */
const FINENESS = -0.5;

/**
 * @param fineness a tensor's values are multiples of 2^(1 - fineness) times the root of their mean square: at 0 about 0.7 bits a
 *   value, each 1 more adds up to a bit, each 1 less takes more than half
 */
export function changeSender({ fineness = FINENESS }: { fineness?: number } = {}): ChangeSender {
  const lost = new Map<string, Float32Array>();
  return {
    send(changes) {
      const tensors = changes.map(({ name, shape, values }) => {
        const before = lost.get(name) ?? new Float32Array(values.length);
        if (before.length !== values.length)
          throw new RangeError(`changes: ${name}: expected ${before.length} values, got ${values.length}`);
        if (!values.every(Number.isFinite)) throw new RangeError(`changes: ${name}: expected finite numbers`);
        const wanted = values.map((value, i) => value + before[i]);
        // One row, one step: steps for each channel would cost more than such coarse values.
        const row = { values: wanted, shape: [1, wanted.length], axis: 0 };
        const quantized = quantizeWeights(row, fineness);
        const told = quantized ? dequantize(quantized) : new Float32Array(wanted.length);
        lost.set(
          name,
          wanted.map((value, i) => value - told[i]),
        );
        const steps = quantized?.steps ?? new Float32Array(1);
        const integers = quantized?.integers ?? new Int32Array(wanted.length);
        return { name, dtype: "float32" as const, quantized: { shape, integers, axis: 0, steps } };
      });
      // The best coder of few symbols is worth its time.
      return encodeModel({ tensors }, { minGain: 0 });
    },
  };
}

/** What was sent, by the names of tensors. @throws {CorruptInputError} if the bytes are damaged or beyond the limits */
export async function changesIn(
  bytes: Uint8Array,
  limits: DecodeLimits = {},
): Promise<Map<string, Float32Array>> {
  const { tensors } = await decodeModel(bytes, limits);
  return new Map(tensors.map(({ name, values }) => [name, values as Float32Array]));
}
