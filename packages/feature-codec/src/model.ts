/**
 * What a codec knows, as integers alone, so that every machine computes the same from it. See FORMAT.md, "Codec".
 */
import type { ContextTables } from "@bitdiet/ans";

export interface Shape {
  height: number;
  width: number;
  channels: number;
}

/** Integers with rows of `channels`: one row a coefficient. */
export interface Matrix {
  /** −2,047 .. 2,047 */
  entries: Int16Array;
}

export interface FeatureModel extends Shape {
  /** Features are integers times 2^−fraction. */
  fraction: number;
  /** The least and the greatest feature, as such integers. */
  least: number;
  greatest: number;
  /** The pixel that is predicted where no reference is given: `channels` such integers. */
  mean: Int32Array;
  /** How many coefficients a pixel has. */
  rows: number;
  /** Measures coefficients; absent: they are the channels themselves. */
  analysis?: Matrix;
  /** What a coefficient adds to a pixel; absent: as `analysis`. */
  synthesis?: Matrix;
  /** The length of one step of each coefficient as `analysis` measures it, 1 .. 2^30. */
  steps: Int32Array;
  /** What one step of each coefficient adds, in units of 2^−precision times `synthesis`, 1 .. 2^20. */
  gains: Int32Array;
  /** 0 .. 30 */
  precision: number;
  /** How large each coefficient is by itself: quarters of an octave, 0 .. 127; see contexts.ts. */
  sizes: Uint8Array;
  tables: ContextTables;
}

export const MAX_CHANNELS = 2048;
export const MAX_VALUES = 2 ** 26;
/** Features beyond this, as integers, are clipped: 32 to 64 times the greatest of the samples. */
export const MAX_FEATURE = 2 ** 20;
export const MAX_ENTRY = 2047;
export const MAX_STEP = 2 ** 30;
export const MAX_GAIN = 2 ** 20;
/** What a coefficient adds, in units of 2^−precision: times an entry and 2,048 coefficients still exact in a float64. */
export const MAX_ADDED = 2 ** 30;

/** Coarseness of a frame, quarters of an octave: its steps are those of the model times 2^(coarseness / 4). */
export const MIN_COARSENESS = -40;
export const MAX_COARSENESS = 40;

/** 2^(k/4) in units of 2^−16: the same integers on every machine, which Math.pow is not. */
const QUARTERS = [65536, 77936, 92682, 110218];

/** A length of the model at a coarseness: rounded, at least 1. The product is exact, so is the scaling by a power of two. */
export function scaled(length: number, coarseness: number): number {
  const octaves = Math.floor(coarseness / 4);
  const product = length * QUARTERS[coarseness - 4 * octaves];
  return Math.max(1, Math.round(product * 2 ** (octaves - 16)));
}
