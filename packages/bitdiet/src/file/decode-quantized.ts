/**
 * A quantized tensor of a file as integers and steps: for tools that look at them, and the inverse of what was encoded.
 *
 *     decodeQuantized(bytes, readHeader(bytes).tensors[0])   // { shape: [16, 3, 3, 3], levels: Int32Array(432), axis: 0, steps: ... }
 */
import { named } from "./errors.js";
import { elementsOf, type TensorEntry } from "./header.js";
import { checkSize, type DecodeLimits, partsOf } from "./parts.js";
import type { QuantizedTensor } from "./quantized-tensor.js";
import { levelsOf, readQuantized, transformSize } from "./read-integers.js";
import { rowsOf } from "./rows.js";

/**
 * The levels and steps themselves, for tools that look at them; of a transformed tensor its coefficients.
 *
 * @throws {CorruptInputError} as `decodeTensor`; {RangeError} if the tensor is not quantized
 */
export function decodeQuantized(
  bytes: Uint8Array,
  entry: TensorEntry,
  limits: DecodeLimits = {},
): QuantizedTensor {
  const { quantized, name, shape: valueShape, size } = entry;
  if (!quantized) throw new RangeError(`entry: expected a quantized tensor, got "${name}"`);
  return named(`tensor "${name}"`, () => {
    checkSize(size + transformSize(entry), limits, bytes.length);
    const { levels, steps, transform } = readQuantized(entry, partsOf(bytes, entry));
    const rows = valueShape[quantized.axis] ?? 1;
    const shape = transform ? [rows, (size / 4 / rows / transform.size) * transform.rows] : valueShape;
    const axis = transform ? 0 : quantized.axis;
    const target = new Int32Array(elementsOf(shape));
    const inRows = levelsOf(levels);
    const { extents, strides } = rowsOf(shape, axis);
    let k = 0;
    for (let row = 0; row < rows; row++) {
      if ((steps[row] ?? steps[0]) === 0) continue;
      for (let j = 0; j < extents[1]; j++) {
        for (let l = 0; l < extents[2]; l++)
          target[row * strides[0] + j * strides[1] + l * strides[2]] = inRows[k++];
      }
    }
    return { shape, levels: target, axis, steps };
  });
}
