/**
 * Steps on a logarithmic grid, so that a file can store each as a small integer: an octave is cut into 2^g equal parts, and the
 * grid's number k is 2^(k / 2^g), rounded to float32.
 *
 *     stepAt(-13, 4)                // 2^(-13/4) = 0.10511...
 *     nearestOnGrid(0.1, 4)         // the same: the nearest of 0.0884, 0.1051, 0.125 by ratio
 *
 * The parts of an octave are products of repeated square roots of 2. IEEE 754 defines both operations to the last bit, unlike
 * `Math.pow`, so that every engine computes the same floats.
 */

/** Parts of an octave: 1, 2, 4 … 128. */
export const MAX_PARTS_PER_OCTAVE = 128;

/** Exponents of the normal float32 numbers. */
const LEAST_OCTAVE = -126;
const MOST_OCTAVE = 127;

/**
 * The grid's number `index`, a float32 above 0.
 *
 * @param index whole, -126 parts .. 128 parts - 1
 * @param partsPerOctave a power of two, 1 .. 128
 * @throws {RangeError} if either is none of these
 */
export function stepAt(index: number, partsPerOctave: number): number {
  checkParts(partsPerOctave);
  const octave = Math.floor(index / partsPerOctave);
  if (!(Number.isInteger(index) && octave >= LEAST_OCTAVE && octave <= MOST_OCTAVE))
    throw new RangeError(
      `index: expected ${LEAST_OCTAVE * partsPerOctave} to ${(MOST_OCTAVE + 1) * partsPerOctave - 1}, got ${index}`,
    );
  return gridStep(index, partsPerOctave);
}

/** The same for arguments that are known to be valid: a decoder needs no more. */
export function gridStep(index: number, partsPerOctave: number): number {
  const octave = Math.floor(index / partsPerOctave);
  let step = 1;
  // The bits of the part, highest first: a half, a quarter, an eighth … of an octave.
  for (let bit = partsPerOctave >> 1, root = Math.SQRT2; bit > 0; bit >>= 1, root = Math.sqrt(root)) {
    if ((index - octave * partsPerOctave) & bit) step *= root;
  }
  return Math.fround(step * powerOfTwo(octave));
}

/**
 * The index of the grid's number that is nearest to a step by ratio.
 *
 * @param step above 0; steps beyond the float32 range give the outermost indices
 */
export function gridIndex(step: number, partsPerOctave: number): number {
  checkParts(partsPerOctave);
  if (!(step > 0)) throw new RangeError(`step: expected a number above 0, got ${step}`);
  const index = Math.round(Math.log2(step) * partsPerOctave);
  return Math.max(LEAST_OCTAVE * partsPerOctave, Math.min((MOST_OCTAVE + 1) * partsPerOctave - 1, index));
}

/** The grid's number nearest to a step by ratio, a float32; 0 for the step 0 of what is pruned. */
export function nearestOnGrid(step: number, partsPerOctave: number): number {
  return step === 0 ? 0 : stepAt(gridIndex(step, partsPerOctave), partsPerOctave);
}

/** The coarsest grid that has all of these steps (0 apart), as parts of an octave; undefined if none has. */
export function gridOf(steps: Float32Array): number | undefined {
  for (let parts = 1; parts <= MAX_PARTS_PER_OCTAVE; parts *= 2) {
    if (steps.every((step) => step === nearestOnGrid(step, parts))) return parts;
  }
  return undefined;
}

function checkParts(partsPerOctave: number): void {
  const isPower = Number.isInteger(partsPerOctave) && (partsPerOctave & (partsPerOctave - 1)) === 0;
  if (!(isPower && partsPerOctave >= 1 && partsPerOctave <= MAX_PARTS_PER_OCTAVE))
    throw new RangeError(`partsPerOctave: expected 1, 2, 4 … ${MAX_PARTS_PER_OCTAVE}, got ${partsPerOctave}`);
}

/** 2^exponent, exactly: the float32 with these exponent bits. @param exponent -126 .. 127 */
const powerOfTwo = (exponent: number): number => POWERS[exponent - LEAST_OCTAVE];

const POWERS = /* @__PURE__ */ powers();

function powers(): Float32Array {
  const bits = Int32Array.from({ length: MOST_OCTAVE - LEAST_OCTAVE + 1 }, (_, i) => (i + 1) << 23);
  return new Float32Array(bits.buffer);
}
