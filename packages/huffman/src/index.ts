/** @bitdiet/huffman: canonical, length-limited Huffman coding of small alphabets. */
export { CorruptInputError } from "@bitdiet/stream";
export { codedBits, codeLengths } from "./code-lengths.js";
export { decompress } from "./decompress.js";
export { countSymbols, type Symbols, shannonEntropy } from "./histogram.js";
export { type HuffmanCode, huffmanCode } from "./huffman-code.js";
export { groupCode, learnCode, runCode } from "./learned-code.js";
export { type CompressOptions, compress, compressedBits } from "./stream.js";
export { decodeTable, encodeTable } from "./table.js";
export { type Cutting, cut } from "./words.js";
