/**
 * A slow, obviously right coder of the same format, for the tests: bits are strings of "0" and "1", codes are looked up
 * one bit at a time, and nothing is shared with the source but the checksum.
 */
export { uniform as random } from "../../../test/random.js";

import { xxHash32 } from "@bitdiet/stream";

export interface Words {
  alphabetSize: number;
  groupSize: number;
  runLimit: number;
}

/** Word -> symbols. */
export function wordSymbols(word: number, { alphabetSize, groupSize, runLimit }: Words): number[] {
  if (runLimit > 0) {
    const zeros = Math.floor(word / (alphabetSize - 1));
    if (zeros === runLimit) return new Array(runLimit).fill(0);
    return [...new Array(zeros).fill(0), (word % (alphabetSize - 1)) + 1];
  }
  const symbols = [];
  for (let k = 0, rest = word; k < groupSize; k++, rest = Math.floor(rest / alphabetSize)) {
    symbols.push(rest % alphabetSize);
  }
  return symbols;
}

/** DEFLATE's rule, RFC 1951 3.2.2, as it stands there. @returns word -> code as a string of bits */
export function referenceCodes(lengths: Uint8Array): string[] {
  const lengthCounts = new Array(64).fill(0);
  for (const length of lengths) if (length > 0) lengthCounts[length]++;
  const nextCode = [0n];
  let code = 0n;
  for (let bits = 1; bits < 64; bits++) {
    code = (code + BigInt(bits > 1 ? lengthCounts[bits - 1] : 0)) << 1n;
    nextCode[bits] = code;
  }
  return Array.from(lengths, (length) =>
    length === 0 ? "" : (nextCode[length]++).toString(2).padStart(length, "0"),
  );
}

export const toBits = (bytes: Iterable<number>) =>
  Array.from(bytes, (b) => b.toString(2).padStart(8, "0")).join("");

export function toBytes(bits: string): number[] {
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, "0");
  return Array.from({ length: padded.length / 8 }, (_, i) =>
    Number.parseInt(padded.slice(8 * i, 8 * i + 8), 2),
  );
}

/** Bits of one stream -> `count` symbols, and the bits that are left. */
export function readStream(
  bits: string,
  count: number,
  lengths: Uint8Array,
  words: Words,
): [number[], string] {
  const codes = referenceCodes(lengths);
  const byCode = new Map(codes.map((code, word) => [code, word] as const).filter(([code]) => code !== ""));
  const symbols: number[] = [];
  let at = 0;
  while (symbols.length < count) {
    let code = "";
    while (!byCode.has(code)) {
      if (at >= bits.length) throw new Error("truncated");
      code += bits[at++];
    }
    symbols.push(...wordSymbols(byCode.get(code)!, words));
  }
  if (symbols.slice(count).some((symbol) => symbol !== 0))
    throw new Error("the last word reaches past the end");
  return [symbols.slice(0, count), bits.slice(at)];
}

/** Two streams in one run of bytes -> their symbols. */
export function readPair(
  bytes: Uint8Array,
  countA: number,
  countB: number,
  lengths: Uint8Array,
  words: Words,
): number[] {
  const [a, restA] = readStream(toBits(bytes), countA, lengths, words);
  const [b, restB] = readStream(toBits([...bytes].reverse()), countB, lengths, words);
  const bytesA = Math.ceil((8 * bytes.length - restA.length) / 8);
  const bytesB = Math.ceil((8 * bytes.length - restB.length) / 8);
  if (bytesA + bytesB !== bytes.length) throw new Error("the streams do not fill the bytes");
  return [...a, ...b];
}

export function writePair(a: number[], b: number[], lengths: Uint8Array): number[] {
  const codes = referenceCodes(lengths);
  const join = (words: number[]) => toBytes(words.map((word) => codes[word]).join(""));
  return [...join(a), ...join(b).reverse()];
}

/** Elias gamma. */
export function gamma(value: number): string {
  const bits = value.toString(2);
  return "0".repeat(bits.length - 1) + bits;
}

/** Everything before the checksum. @param tokens lengths as bits, or as numbers, each written explicitly */
export function headerBytes(
  shorts: boolean,
  count: number,
  words: Words,
  tokens: string | Iterable<number>,
): number[] {
  const kind = words.runLimit > 0 ? 16 + Math.log2(words.runLimit) : words.groupSize;
  const explicit = (length: number) =>
    length === 0 ? "111101" : `11111${length.toString(2).padStart(5, "0")}`;
  const lengths = typeof tokens === "string" ? tokens : Array.from(tokens, explicit).join("");
  return [
    0x48,
    shorts ? 3 : 2,
    ...toBytes(gamma(count + 1) + kind.toString(2).padStart(5, "0") + gamma(words.alphabetSize) + lengths),
  ];
}

export function withChecksum(header: number[], payload: number[]): Uint8Array {
  const hash = xxHash32(Uint8Array.from(payload), xxHash32(Uint8Array.from(header)));
  return Uint8Array.from([
    ...header,
    hash & 255,
    (hash >>> 8) & 255,
    (hash >>> 16) & 255,
    hash >>> 24,
    ...payload,
  ]);
}

/** Where the second stream begins. */
export const middleOf = (count: number) => (count < 64 ? count : 2 * Math.ceil(count / 4));

/** Lengths of a random complete code of 2 or more words among `words`, none longer than 20. */
export function randomLengths(words: number, codes: number, next: () => number): Uint8Array {
  const leaves = [1, 1];
  while (leaves.length < codes) {
    const i = Math.floor(next() * leaves.length);
    if (leaves[i] < 20) leaves.splice(i, 1, leaves[i] + 1, leaves[i] + 1);
  }
  const lengths = new Uint8Array(words);
  for (const length of leaves) {
    let at = Math.floor(next() * words);
    while (lengths[at] > 0) at = (at + 1) % words;
    lengths[at] = length;
  }
  return lengths;
}

/** Symbols of a distribution: "geometric" with ratio p, over `alphabetSize` symbols. */
export function geometric<T extends Uint8Array | Uint16Array>(
  target: T,
  alphabetSize: number,
  p: number,
  next: () => number,
): T {
  const scale = p > 0 && p < 1 ? 1 / Math.log(p) : 0;
  for (let i = 0; i < target.length; i++) {
    target[i] = Math.min(alphabetSize - 1, Math.floor(Math.log(1 - next()) * scale));
  }
  return target;
}
