/**
 * Bytes that are text or nearly so (names, JSON, the header) by context mixing: several models predict each bit from the bytes
 * before it, a small online logistic regression mixes their predictions (Mahoney, "Adaptive weighing of context models for
 * lossless data compression", Florida Tech. TR CS-2005-16), and cabac's range coder writes the bit with that probability.
 *
 *     encodeText(new TextEncoder().encode("conv1/kernel conv2/kernel conv3/kernel"))   // 25 bytes for 38
 *
 * Slower than DEFLATE and smaller than brotli: worth it for the kilobytes of names and topology that a model has.
 * Only sums, products and quotients of whole and float64 numbers are taken, which are the same on every machine.
 */
import {
  decodeBit,
  encodeBit,
  finishDecoding,
  finishEncoding,
  type RangeDecoder,
  rangeDecoder,
  rangeEncoder,
} from "@bitdiet/cabac";
import { must } from "./errors.js";

/** No byte costs less than 8 times 0.0007 bits: bounds what coded bytes can stand for. */
export const TEXT_PER_BYTE = 1500;

/** One model each: of what follows the last 0, 1, 2, 3, 4, 6 and 16 bytes. */
const ORDERS = [0, 1, 2, 3, 4, 6, 16];
const INPUTS = ORDERS.length;

/** By logits, -2047 .. 2047 in units of 1/256: probabilities in units of 2^-16. And the logits by probabilities / 16. */
const PROBABILITIES = new Float64Array(4095);
const LOGITS = new Float64Array(4096);
for (let logit = 0, odds = 1; logit < 2048; logit++) {
  const probability = Math.min(65504, Math.floor((65536 * odds) / (odds + 1)));
  PROBABILITIES[2047 + logit] = probability;
  PROBABILITIES[2047 - logit] = 65536 - probability;
  // e^(1/256). Math.exp would do, did its last digits not differ between engines.
  odds *= 1.0039138893383475;
}
for (let p = 0, logit = -2047; p < 4096; p++) {
  while (logit < 2047 && PROBABILITIES[2047 + logit] < 16 * p + 8) logit++;
  LOGITS[p] = logit;
}
/** How fast the mixing weights move, and after how many uses an estimate keeps its rate. */
const RATE = 4e-10;
const LIMIT = 255;

/**
 * Goes through the bytes bit by bit, highest first.
 *
 * @param code is given the probability of a 1 and the bit; returns the bit. A decoder knows it only then, and the byte with it.
 */
function mixContexts(bytes: Uint8Array, code: (probability: number, bit: number) => number): void {
  const log = Math.max(12, Math.min(20, 37 - Math.clz32(bytes.length)));
  /** Probability of a 1, as in cabac: units of 2^-22, times 2^10, plus how often it was used. Contexts that share a place share it. */
  const estimates = new Int32Array(1 << log).fill(-(2 ** 31));
  const starts = new Int32Array(INPUTS);
  const slots = new Int32Array(INPUTS);
  const logits = new Float64Array(INPUTS);
  /** One set for each number of models that have seen their context before. */
  const weights = new Float64Array(INPUTS * (INPUTS + 1)).fill(0.3);
  for (let i = 0; i < bytes.length; i++) {
    for (let k = 0; k < INPUTS; k++) starts[k] = contextHash(bytes, i, ORDERS[k]);
    let byte = 1;
    for (let place = 7; place >= 0; place--) {
      let set = 0;
      for (let k = 0; k < INPUTS; k++) {
        const hash = Math.imul(starts[k] + Math.imul(byte, 0x9e3779b1), 0x85ebca6b);
        slots[k] = hash >>> (32 - log);
        const estimate = estimates[slots[k]];
        if (estimate & 1023) set += INPUTS;
        logits[k] = LOGITS[estimate >>> 20];
      }
      let sum = 0;
      for (let k = 0; k < INPUTS; k++) sum += weights[set + k] * logits[k];
      const probability = PROBABILITIES[2047 + Math.max(-2047, Math.min(2047, Math.floor(sum)))];
      const bit = code(probability, (bytes[i] >> place) & 1);
      const error = (bit * 65536 - probability) * RATE;
      for (let k = 0; k < INPUTS; k++) {
        weights[set + k] += error * logits[k];
        estimates[slots[k]] = learned(estimates[slots[k]], bit);
      }
      byte = 2 * byte + bit;
    }
    bytes[i] = byte;
  }
}
/** Hash of the last `order` bytes before `end`, zeros before the first. */
function contextHash(bytes: Uint8Array, end: number, order: number): number {
  let hash = order + 1;
  for (let j = 1; j <= order; j++) hash = (Math.imul(hash ^ (bytes[end - j] ?? 0), 0x2c1b3c6d) + order) | 0;
  return hash;
}

/** The estimate after one more bit: its rate falls from 1/1.3 to 1/256. */
function learned(old: number, bit: number): number {
  const uses = old & 1023;
  const target = bit ? 4194303 : 0;
  const error = target - (old >>> 10);
  const next = (old >>> 10) + Math.trunc(error / (uses + 1.3));
  return (next << 10) | Math.min(uses + 1, LIMIT);
}

export function encodeText(bytes: Uint8Array): Uint8Array {
  const coder = rangeEncoder();
  mixContexts(new Uint8Array(bytes), (probability, bit) => {
    encodeBit(coder, probability, bit);
    return bit;
  });
  return finishEncoding(coder);
}

/**
 * @param size how many bytes were encoded
 * @throws {CorruptInputError} unless `coded` is exactly what `encodeText` writes for some `size` bytes
 */
export function decodeText(coded: Uint8Array, size: number): Uint8Array {
  must(size <= TEXT_PER_BYTE * (coded.length + 4));
  const bytes = new Uint8Array(size);
  const coder: RangeDecoder = rangeDecoder(coded);
  mixContexts(bytes, (probability) => {
    must(coder.position <= coded.length + 4);
    return decodeBit(coder, probability);
  });
  finishDecoding(coder);
  return bytes;
}
