/**
 * The tables of a codec, from the tokens that samples become.
 */
import { type ContextTables, learnContextTables, normalizeCounts } from "@bitdiet/ans";
import { CONTEXTS, CONTEXTS_A_SIZE, frameContexts, layoutOf, sizeClasses } from "./contexts.js";
import type { FeatureModel } from "./model.js";
import { ALPHABET, ESCAPE, PLAIN_TOKENS, tokenOf } from "./tokens.js";
import { fixedTransform, meanPixels, toFixed } from "./transform.js";

/** Two more take 0.06 % fewer bytes, and four times the cache: decoding them takes half as long again. */
const TABLE_LOG = 10;
/** Coarsenesses that tables are learned at, so that they serve at all of them. */
const COARSENESSES = [0, 4, 8, 16];
/** Tokens that tables are learned from, at most, at each. */
const LEARNED = 2 ** 22;
/** Bits that tokens of large integers have behind them, on average; they are few. */
const EXTRA = 3;

interface Coded {
  tokens: Uint8Array;
  contexts: Uint16Array;
}

/** Tokens of frames at a coarseness, and their contexts. */
function coded(model: FeatureModel, frames: readonly Float32Array[], coarseness: number): Coded {
  const { rows } = model;
  const mean = meanPixels(model);
  const { analyse } = fixedTransform(model);
  const contexts = frameContexts(rows);
  const layout = layoutOf(model);
  const classes = sizeClasses(model.sizes, coarseness);
  const count = model.height * model.width * rows;
  const all = {
    tokens: new Uint8Array(count * frames.length),
    contexts: new Uint16Array(count * frames.length),
  };
  frames.forEach((frame, index) => {
    const steps = analyse(toFixed(frame, model.fraction, mean), coarseness);
    const tokens = all.tokens.subarray(index * count, (index + 1) * count);
    contexts.start(layout, classes);
    for (let i = 0; i < count; i++) {
      all.contexts[index * count + i] = contexts.contextOf(tokens, i);
      tokens[i] = tokenOf(steps[i]);
    }
  });
  return all;
}

/** Bits a value that frames take with tables of their own for all contexts: a little less than with those learned. */
export function modelledBits(model: FeatureModel, frames: readonly Float32Array[]): number {
  const { tokens, contexts } = coded(model, frames, 0);
  const counts = new Float64Array(CONTEXTS * ALPHABET);
  let bits = 0;
  for (let i = 0; i < tokens.length; i++) {
    counts[contexts[i] * ALPHABET + tokens[i]]++;
    if (tokens[i] >= PLAIN_TOKENS) bits += EXTRA;
  }
  for (let start = 0; start < counts.length; start += ALPHABET) {
    const histogram = counts.subarray(start, start + ALPHABET);
    const total = histogram.reduce((sum, count) => sum + count, 0);
    for (const count of histogram) if (count > 0) bits += count * Math.log2(total / count);
  }
  return bits / (frames.length * frames[0].length);
}

/** Tables in which small integers and ESCAPE have a place, and other tokens where samples had them. */
export function learnTables(model: FeatureModel, frames: readonly Float32Array[]): ContextTables {
  const some = frames.slice(0, Math.max(1, Math.floor(LEARNED / frames[0].length)));
  const parts = COARSENESSES.map((coarseness) => coded(model, some, coarseness));
  const tokens = joined(
    Uint8Array,
    parts.map((part) => part.tokens),
  );
  const contexts = joined(
    Uint16Array,
    parts.map((part) => part.contexts),
  );
  const shared = learnContextTables(
    tokens,
    { count: CONTEXTS, contextOf: (_, index) => contexts[index] },
    { alphabetSize: ALPHABET, tableLog: TABLE_LOG },
  );
  const tableOf = withNeighbours(shared.tableOf, contexts);
  const counts = shared.tables.map(() => new Float64Array(ALPHABET));
  for (let i = 0; i < tokens.length; i++) counts[tableOf[contexts[i]]][tokens[i]]++;
  for (const histogram of counts) {
    for (let token = 0; token < ALPHABET; token++) {
      if (token < PLAIN_TOKENS || token === ESCAPE) histogram[token] = Math.max(1, histogram[token]);
    }
  }
  return {
    tableLog: TABLE_LOG,
    tableOf,
    tables: counts.map((histogram) => normalizeCounts(histogram, TABLE_LOG)),
  };
}

/** Tables of contexts that samples never met: that of the nearest size with the same neighbours, if one was met. */
function withNeighbours(tableOf: Uint8Array, contexts: Uint16Array): Uint8Array {
  const isMet = new Uint8Array(CONTEXTS);
  for (let i = 0; i < contexts.length; i++) isMet[contexts[i]] = 1;
  return tableOf.map((table, context) => {
    for (let distance = 0; distance < CONTEXTS; distance += CONTEXTS_A_SIZE) {
      for (const near of [context + distance, context - distance]) if (isMet[near]) return tableOf[near];
    }
    return table;
  });
}

function joined<T extends Uint8Array | Uint16Array>(
  Type: { new (length: number): T },
  parts: readonly T[],
): T {
  const all = new Type(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
