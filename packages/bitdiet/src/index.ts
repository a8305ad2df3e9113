/** bitdiet: a tensor's integers in the fewest bytes. */
export { type Coder, type IntegerShape, smallestOf } from "./coder.js";
export { ansCoder, cabacCoder, huffmanCoder, smallestCoder } from "./coders.js";
