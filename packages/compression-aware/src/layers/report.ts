/** What a model's kernels weigh in a file, before training and now. */
import { estimateModel, type QuantizedTensor } from "bitdiet";
import { integersOf } from "./file.js";
import type { QuantizedWeight } from "./weight-quantizer.js";

/** What a quantized tensor weighs in a file, mean bits of a number, steps included. */
export interface TensorBits {
  /** As in the file: "conv/kernel". */
  name: string;
  shape: number[];
  /** Of the weights that training started from, rounded to the same widths, coded the same way. */
  before: number;
  after: number;
}

/** Looks at the kernels as they are. @returns what says how far they have come since */
export function reportFrom(weights: Iterable<QuantizedWeight>): () => Promise<TensorBits[]> {
  const all = [...weights];
  const start = integersOf(all).then(
    (integers) => new Map([...integers].map(([name, own]) => [name, bitsOf(own)])),
  );
  return async () => {
    const before = await start;
    return [...(await integersOf(all))].map(([name, quantized]) => ({
      name,
      shape: [...quantized.shape],
      before: before.get(name)!,
      after: bitsOf(quantized),
    }));
  };
}

function bitsOf(quantized: QuantizedTensor): number {
  const { tensors } = estimateModel({ tensors: [{ name: "", dtype: "float32", quantized }] });
  return (8 * tensors[0].bytes) / quantized.integers.length;
}
