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
import { fittedStep } from "../quantize/weights.js";

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

/** A little less than a fiftieth of float32. */
const BITS = 0.6;
/** Finenesses that are tried, in eighths. */
const FINENESSES = { least: -8 * 8, most: 16 * 8 };

/**
 * @param bits a value that a round's file takes at most, above 0; only a file of zeros may take more. What is left of it in a round is not
 *   saved up
 * @throws {RangeError} if bits is no number above 0
 */
export function changeSender({ bits = BITS }: { bits?: number } = {}): ChangeSender {
  if (!(bits > 0)) throw new RangeError(`bits: expected a number above 0, got ${bits}`);
  const lost = new Map<string, Float32Array>();
  return {
    send(changes) {
      const wanted = changes.map((change) => withLost(change, lost.get(change.name)));
      const values = changes.reduce((sum, { values }) => sum + values.length, 0);
      // The finest that fits. The best coder of few symbols is worth its time.
      let { least, most } = FINENESSES;
      let best = written(wanted, least / 8);
      while (most - least > 1) {
        const middle = (least + most) >> 1;
        const tried = written(wanted, middle / 8);
        if (8 * tried.bytes.length > bits * values) most = middle;
        else [least, best] = [middle, tried];
      }
      best.tensors.forEach(({ name, quantized }, i) => {
        const told = dequantize(quantized);
        lost.set(
          name,
          wanted[i].values.map((value, k) => value - told[k]),
        );
      });
      return best.bytes;
    },
  };
}

function withLost(
  { name, shape, values }: Change,
  before: Float32Array = new Float32Array(values.length),
): Change {
  if (before.length !== values.length)
    throw new RangeError(`changes: ${name}: expected ${before.length} values, got ${values.length}`);
  if (!values.every(Number.isFinite)) throw new RangeError(`changes: ${name}: expected finite numbers`);
  return { name, shape, values: values.map((value, i) => value + before[i]) };
}

function written(changes: readonly Change[], fineness: number) {
  const tensors = changes.map(({ name, shape, values }) => ({
    name,
    dtype: "float32" as const,
    quantized: { shape, axis: 0, ...nearest(values, fineness) },
  }));
  return { tensors, bytes: encodeModel({ tensors }, { minGain: 0 }) };
}

/**
 * The nearest integers in steps of 2^(1 - fineness) times the root of the mean square, and the step that then fits them best; a single one,
 * since those of channels would cost more than such coarse values. (By rate, changes of one size would all become 0, round after round.)
 */
function nearest(values: Float32Array, fineness: number): { integers: Int32Array; steps: Float32Array } {
  const squares = values.reduce((sum, value) => sum + value * value, 0);
  const step = 2 ** (1 - fineness) * Math.sqrt(squares / values.length);
  const integers =
    step > 0 ? Int32Array.from(values, (value) => Math.round(value / step)) : new Int32Array(values.length);
  return { integers, steps: Float32Array.of(fittedStep(values, integers)) };
}

/** What was sent, by the names of tensors. @throws {CorruptInputError} if the bytes are damaged or beyond the limits */
export async function changesIn(
  bytes: Uint8Array,
  limits: DecodeLimits = {},
): Promise<Map<string, Float32Array>> {
  const { tensors } = await decodeModel(bytes, limits);
  return new Map(tensors.map(({ name, values }) => [name, values as Float32Array]));
}
