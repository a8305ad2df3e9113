/** @bitdiet/huffman: canonical, length-limited Huffman coding of small alphabets. */
export { codedBits, codeLengths } from "./code-lengths.js";
export { decompress } from "./decompress.js";
export { CorruptInputError } from "./errors.js";
export { countSymbols, type Symbols, shannonEntropy } from "./histogram.js";
export { type HuffmanCode, huffmanCode } from "./huffman-code.js";
export { groupCode, learnCode, runCode } from "./learned-code.js";
export { type CompressOptions, compress, estimateCompressedBits } from "./stream.js";
export { decodeTable, encodeTable } from "./table.js";
export { type Cutting, cut } from "./words.js";
