/**
 * Which table codes a coefficient: how large it is as a rule, how large its neighbours are, and of which sign.
 *
 *     size        quarters of an octave by which the coefficient's standard deviation exceeds a step, plus 24, in pairs
 *     activity    2 · left + 2 · above + above right + the coefficient before it (same pixel), magnitudes in steps
 *     sign        that of left + that of above: none, negative, positive
 *
 * Sizes move with the coarseness of a frame, so tables that were learned at one serve at all others. Static tables in place
 * of adaptive ones, else as Marpe, Schwarz, Wiegand, "Context-based adaptive binary arithmetic coding", 2003.
 */
import type { CallerContexts } from "@bitdiet/ans";
import { ALPHABET, ESCAPE, MAGNITUDES } from "./tokens.js";

const SIZES = 24;
/** Activities from which on the next class begins. */
const ACTIVITIES = [1, 2, 3, 4, 6, 8, 11, 16, 24, 40];
const ACTIVE = ACTIVITIES.length + 1;
export const CONTEXTS_A_SIZE = ACTIVE * 3;
export const CONTEXTS = SIZES * CONTEXTS_A_SIZE;

/** Magnitudes as neighbours see them. */
const MOST_SEEN = 31;
const SEEN = Uint8Array.from(MAGNITUDES, (magnitude) => Math.min(magnitude, MOST_SEEN));
/** 1 for positive tokens, −1 for negative ones. */
const SIGNS = Int8Array.from({ length: ALPHABET }, (_, token) =>
  token === 0 || token === ESCAPE ? 0 : token & 1 ? 1 : -1,
);
/** The context within a size, by activity (times 3), and then by sign. */
const ACTIVITY_CLASSES = Uint8Array.from(
  { length: 6 * MOST_SEEN + 1 },
  (_, activity) => 3 * ACTIVITIES.filter((start) => activity >= start).length,
);
const SIGN_CLASSES = Uint8Array.of(1, 1, 0, 2, 2);

/** Pixels in the order of coding, and where in it their neighbours are: −1 where there is none, else an index. */
export interface Layout {
  count: number;
  left: Int32Array;
  above: Int32Array;
  aboveRight: Int32Array;
}

/** @param isCoded of each pixel, whether it is; all, if absent */
export function layoutOf({ height, width }: { height: number; width: number }, isCoded?: Uint8Array): Layout {
  const places = new Int32Array(height * width).fill(-1);
  const [left, above, aboveRight] = [0, 0, 0].map(() => new Int32Array(height * width).fill(-1));
  let count = 0;
  for (let pixel = 0; pixel < places.length; pixel++) {
    if (isCoded?.[pixel] === 0) continue;
    const x = pixel % width;
    if (x > 0) left[count] = places[pixel - 1];
    if (pixel >= width) above[count] = places[pixel - width];
    if (pixel >= width && x + 1 < width) aboveRight[count] = places[pixel - width + 1];
    places[pixel] = count++;
  }
  return { count, left, above, aboveRight };
}

/** The size class of each coefficient. @param sizes see above, at coarseness 0 @param coarseness quarters of an octave */
export function sizeClasses(sizes: Uint8Array, coarseness: number): Uint8Array {
  return Uint8Array.from(sizes, (size) => Math.max(0, Math.min(SIZES - 1, (size - coarseness) >> 1)));
}

/** Contexts of one frame after the other: `start` says what the next one is. */
export interface FrameContexts extends CallerContexts {
  start(layout: Layout, classes: Uint8Array): void;
}

export function frameContexts(rows: number): FrameContexts {
  let layout: Layout;
  const starts = new Int32Array(rows);
  // Where the last index was: asked one by one, as coders do, no index has to be divided.
  let last = -2;
  let k = 0;
  let pixel = 0;
  let [left, above, aboveRight] = [0, 0, 0];
  const enter = () => {
    left = layout.left[pixel] * rows;
    above = layout.above[pixel] * rows;
    aboveRight = layout.aboveRight[pixel] * rows;
  };
  return {
    count: CONTEXTS,
    start(next, classes) {
      layout = next;
      last = -2;
      for (let row = 0; row < rows; row++) starts[row] = classes[row] * CONTEXTS_A_SIZE;
    },
    contextOf(symbols, index) {
      if (index === last + 1) {
        if (++k === rows) {
          k = 0;
          pixel++;
          enter();
        }
      } else {
        pixel = Math.floor(index / rows);
        k = index - pixel * rows;
        enter();
      }
      last = index;
      let activity = k > 0 ? SEEN[symbols[index - 1]] : 0;
      let sign = 2;
      if (left >= 0) {
        const token = symbols[left + k];
        activity += SEEN[token] << 1;
        sign += SIGNS[token];
      }
      if (above >= 0) {
        const token = symbols[above + k];
        activity += SEEN[token] << 1;
        sign += SIGNS[token];
      }
      if (aboveRight >= 0) activity += SEEN[symbols[aboveRight + k]];
      return starts[k] + ACTIVITY_CLASSES[activity] + SIGN_CLASSES[sign];
    },
  };
}
