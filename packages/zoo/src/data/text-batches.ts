// Encoded texts with their classes, and batches of them. Tensors have one of a few lengths only (the wasm backend wants
// fixed shapes): a batch is as long as its longest text, rounded up. Batches are drawn from pools of texts of like length,
// so that short texts are not mostly padding. Example: of SST-2's phrases, half are shorter than 12 tokens, a few have 50.
import * as tf from "@tensorflow/tfjs-core";
import type { BertInput } from "../nets/bert.js";
import type { TextExample } from "./glue.js";
import { shuffled } from "./random.js";
import { type BertTokenizer, type EncodedTexts, encodeTexts } from "./tokenizer.js";
import { wholeBatches } from "./whole-batches.js";

/** Small, so that an epoch has many steps. */
export const BATCH = 32;
/** Batches a pool is sorted into. */
const POOL = 16;

/** Texts as tokens, and their classes. */
export interface EncodedData {
  texts: EncodedTexts;
  labels: Int32Array;
}

/** A batch as tensors, owned by the caller. */
export interface Batch {
  input: BertInput;
  /** One-hot, [batch, classes]. */
  labels: tf.Tensor2D;
}

/** @param length most tokens of a text, special tokens included */
export function encodeExamples(
  tokenizer: BertTokenizer,
  examples: readonly TextExample[],
  length: number,
): EncodedData {
  return {
    texts: encodeTexts(tokenizer, examples, length),
    labels: Int32Array.from(examples, ({ label }) => label),
  };
}

/** Tokens of each text, padding aside. */
export function tokenCounts({ mask, length }: EncodedTexts): Int32Array {
  return Int32Array.from({ length: mask.length / length }, (_, row) =>
    mask.subarray(row * length, (row + 1) * length).reduce((sum, one) => sum + one, 0),
  );
}

/** Texts `rows` as tensors, as long as the longest of them needs: a multiple of 8, or all that was encoded. */
export function inputOf({ ids, mask, tokenTypes, length }: EncodedTexts, rows: readonly number[]): BertInput {
  let longest = 0;
  for (const row of rows) {
    for (let at = length - 1; at >= longest; at--) {
      if (mask[row * length + at] === 1) longest = at + 1;
    }
  }
  const cut = Math.min(length, Math.ceil(longest / 8) * 8);
  const shape: [number, number] = [rows.length, cut];
  const gather = <T extends Int32Array | Float32Array>(from: T, to: T): T => {
    for (const [i, row] of rows.entries()) to.set(from.subarray(row * length, row * length + cut), i * cut);
    return to;
  };
  const size = rows.length * cut;
  return {
    ids: tf.tensor2d(gather(ids, new Int32Array(size)), shape, "int32"),
    mask: tf.tensor2d(gather(mask, new Float32Array(size)), shape),
    tokenTypes: tf.tensor2d(gather(tokenTypes, new Int32Array(size)), shape, "int32"),
  };
}

export const stepsPerEpoch = ({ labels }: EncodedData): number => wholeBatches(labels.length, BATCH);

/**
 * An endless stream of batches: every epoch in a new order, the last partial batch dropped. Batch n of one seed is the
 * same in every run, so runs are compared on the same data and can be resumed.
 *
 * @throws {RangeError} if there are fewer examples than a batch holds
 */
export function batches(data: EncodedData, classes: number, seed: number): (step: number) => Batch {
  const steps = stepsPerEpoch(data);
  if (steps === 0)
    throw new RangeError(`Expected at least ${BATCH} examples for training, got ${data.labels.length}.`);
  const counts = tokenCounts(data.texts);
  let order: number[][] = [];
  let orderEpoch = -1;
  return (step) => {
    const epoch = Math.floor(step / steps);
    if (epoch !== orderEpoch) {
      order = epochOrder(counts, seed * 1000 + epoch).slice(0, steps);
      orderEpoch = epoch;
    }
    const rows = order[step % steps];
    const labels = tf.tidy(
      () =>
        tf.cast(
          tf.oneHot(
            tf.tensor1d(
              Int32Array.from(rows, (row) => data.labels[row]),
              "int32",
            ),
            classes,
          ),
          "float32",
        ) as tf.Tensor2D,
    );
    return { input: inputOf(data.texts, rows), labels };
  };
}

/** All texts in random order, cut into pools, each pool sorted by length into batches, and the batches shuffled. */
function epochOrder(counts: Int32Array, seed: number): number[][] {
  const order = shuffled([...counts.keys()], seed);
  const batchRows: number[][] = [];
  for (let at = 0; at < order.length; at += POOL * BATCH) {
    const pool = order.slice(at, at + POOL * BATCH).sort((a, b) => counts[a] - counts[b]);
    for (let row = 0; row + BATCH <= pool.length; row += BATCH) batchRows.push(pool.slice(row, row + BATCH));
  }
  return shuffled(batchRows, seed);
}
