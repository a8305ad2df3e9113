// What a network of blocks takes packed as published, every integer at its block's width: bits a weight, everything counted,
// and the same through brotli. A weight is one of the float network, so that pruned ones lower the average.
// Example: 10,000 weights packed in 2,500 bytes are 2 bits a weight.
import { brotliBytes } from "@bitdiet/zoo/shipping/baselines";
import type { WeightCosts } from "@bitdiet/zoo/shipping/measured";
import type { Measured } from "../recipe.js";
import type { Testbed } from "../testbed.js";
import { packBlocks, type StoredBlock } from "./blocks.js";

/** Weights of all filters and matrices, and the float32 values beside them. */
export function sizesOf({ start }: Pick<Testbed, "start">): { weights: number; floats: number } {
  let [weights, floats] = [0, 0];
  for (const [name, { size }] of Object.entries(start)) {
    if (name.endsWith(".weight")) weights += size;
    else floats += size;
  }
  return { weights, floats };
}

/** Costs of the file, a bit being one of the float network's weights; and the published packing as baseline columns. */
export function withPublishedPacking(
  { weights: costs, ...measured }: Measured,
  blocks: readonly StoredBlock[],
  { weights, floats }: ReturnType<typeof sizesOf>,
): Measured {
  const packed = packBlocks(blocks);
  const bits = (bytes: number) => (8 * bytes) / weights;
  const own = costs as WeightCosts;
  const coded = own.layers.reduce((sum, layer) => sum + layer.values, 0);
  return {
    ...measured,
    weights: {
      ...own,
      fixedWidth: bits(packed.length + 4 * floats),
      entropy: (own.entropy * coded) / weights,
      coded: bits(own.bytes),
      packedBrotli: bits(brotliBytes([packed]) + 4 * floats),
    },
  };
}
