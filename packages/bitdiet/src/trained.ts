/**
 * A model whose integers were chosen in training to its file: they are kept as they are, and every other number bit for bit.
 *
 *     const bytes = await encodeTrained(await readModel(files, "model.json"), new Map([["conv/kernel", quantized]]));
 */
import { encodedModel } from "./encoded-model.js";
import type { QuantizedTensor } from "./file/quantized-tensor.js";
import { joinPieces } from "./loaders/source.js";
import type { Model } from "./model.js";

/**
 * @param model its tensors hold the values of their integers: where these take no less than the floats, the floats are kept
 * @param tensors quantized tensors by name
 * @throws {RangeError} if there is a name that the model has not
 */
export async function encodeTrained(
  model: Model,
  tensors: ReadonlyMap<string, QuantizedTensor>,
): Promise<Uint8Array> {
  const names = new Set(model.tensors.map(({ name }) => name));
  for (const name of tensors.keys())
    if (!names.has(name))
      throw new RangeError(`tensors: expected names of the model's tensors, got "${name}"`);
  const { pieces } = await encodedModel(model, { tensors }, 0);
  return joinPieces(pieces);
}
