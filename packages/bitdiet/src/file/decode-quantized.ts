/**
 * A quantized tensor of a file as integers and steps: for tools that look at them, and the inverse of what was encoded.
 *
 *     decodeQuantized(bytes, readHeader(bytes).tensors[0])   // { shape: [16, 3, 3, 3], integers: Int32Array(432), axis: 0, steps: ... }
 */
import { named } from "./errors.js";
import { elementsOf, type TensorEntry } from "./header.js";
import { checkSize, type DecodeLimits, partsOf } from "./parts.js";
import { allRows, type QuantizedTensor } from "./quantized-tensor.js";
import { integersOf, readQuantized, transformSize } from "./read-integers.js";

/**
 * The integers and steps themselves, for tools that look at them; of a transformed tensor its coefficients.
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
    const { integers: coded, steps, transform } = readQuantized(entry, partsOf(bytes, entry));
    const rows = valueShape[quantized.axis] ?? 1;
    const shape = transform ? [rows, (size / 4 / rows / transform.size) * transform.rows] : valueShape;
    const integers = allRows(integersOf(coded), elementsOf(shape), rows, steps);
    return { shape, integers, axis: transform ? 0 : quantized.axis, steps };
  });
}
