// What networks answer: a row of class probabilities a picture, and what they are surest of; or, of outputs that are no such row, how far
// they are off.
// Example: `mostLikely({ classes: 2, probabilities: Float32Array.of(0.2, 0.8) }, 0)` is { answer: 1, share: 0.8 }, nearly.

/** A row of probabilities a picture. */
export interface Answers {
  classes: number;
  probabilities: Float32Array;
}

/** How far outputs are from what they were, a number a picture: root mean square over their deviation, 0 = not at all. */
export interface Errors {
  errors: Float32Array;
}

export type Findings = Answers | Errors;

/** The class with the largest probability, the first of equals. */
export function mostLikely(
  { classes, probabilities }: Answers,
  picture: number,
): { answer: number; share: number } {
  const row = probabilities.subarray(picture * classes, (picture + 1) * classes);
  const share = row.reduce((a, b) => Math.max(a, b));
  return { answer: row.indexOf(share), share };
}

/** The whole of several pictures. */
export function rootMeanSquare({ errors }: Errors): number {
  return Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length);
}
