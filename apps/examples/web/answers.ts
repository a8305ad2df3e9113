// What networks answer: a row of class probabilities a picture, and what they are surest of.
// Example: `mostLikely({ classes: 2, probabilities: Float32Array.of(0.2, 0.8) }, 0)` is { answer: 1, share: 0.8 }, nearly.

/** A row of probabilities a picture. */
export interface Answers {
  classes: number;
  probabilities: Float32Array;
}

/** The class with the largest probability, the first of equals. */
export function mostLikely(
  { classes, probabilities }: Answers,
  picture: number,
): { answer: number; share: number } {
  const row = probabilities.subarray(picture * classes, (picture + 1) * classes);
  const share = row.reduce((a, b) => Math.max(a, b));
  return { answer: row.indexOf(share), share };
}
