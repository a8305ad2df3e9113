// What a network of blocks weighs, in the terms of the table: bits a weight of the file packed at the blocks' widths, of the
// file with entropy coding, and of the packed file through brotli, everything counted. A weight is one of the float network,
// so that pruned ones lower the average. Example: 10,000 weights in a file of 2,500 bytes are 2 bits a weight.
import { brotliCompressSync, constants } from "node:zlib";
import { countSymbols, shannonEntropy } from "@bitdiet/huffman";
import type { Measured } from "../deploy.js";
import type { Testbed } from "../testbed.js";
import { codeBlocks, levelRange, packBlocks, type StoredBlock } from "./blocks.js";

/** Weights of all filters and matrices, and the float32 values beside them. */
export function sizesOf({ start }: Pick<Testbed, "start">): { weights: number; floats: number } {
  let [weights, floats] = [0, 0];
  for (const [name, { size }] of Object.entries(start)) {
    if (name.endsWith(".weight")) weights += size;
    else floats += size;
  }
  return { weights, floats };
}

/** @param filters blocks of each filter, by name, in the order of the file; `floats` float32 values are needed besides */
export function measuredFile(
  filters: Readonly<Record<string, readonly StoredBlock[]>>,
  { weights, floats }: ReturnType<typeof sizesOf>,
): NonNullable<Measured["weights"]> {
  const blocks = Object.values(filters).flat();
  const packed = packBlocks(blocks);
  const coded = codeBlocks(blocks);
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
  const bits = (bytes: number) => (8 * (bytes + 4 * floats)) / weights;
  return {
    fixedWidth: bits(packed.length),
    entropy: bits(sum(blocks, entropyBits) / 8),
    coded: bits(coded.length),
    packedBrotli: bits(brotliCompressSync(packed, quality).length),
    bytes: coded.length + 4 * floats,
    layers: Object.entries(filters).map(([name, own]) => {
      const values = sum(own, ({ levels }) => levels.length);
      return {
        name,
        values,
        entropy: sum(own, entropyBits) / Math.max(1, values),
        bytes: codeBlocks(own).length,
      };
    }),
  };
}

/** Order-0 entropy of a block's levels; tables not counted. */
function entropyBits({ grid, levels }: StoredBlock): number {
  const { low } = levelRange(grid);
  const symbols = Uint8Array.from(levels, (level) => level - low);
  return levels.length > 0 ? levels.length * shannonEntropy(countSymbols(symbols)) : 0;
}

const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
  items.reduce((total, item) => total + of(item), 0);
