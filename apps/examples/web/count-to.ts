// The number that falls: it runs from what it was to what it is now, unless motion is unwelcome.
// Example: `countTo(27_800, 244_520)` counts down from 245 kB the first time, later from what is there.
import { bytesText, element } from "./text.js";

/** How long it runs, ms. */
const DURATION = 450;

let shown = 0;
let frame = 0;

/**
 * @param bytes where to
 * @param first where from, if nothing has been shown yet
 */
export function countTo(bytes: number, first: number): void {
  cancelAnimationFrame(frame);
  const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const from = shown || first;
  const start = performance.now();
  const step = (time: number) => {
    const progress = isStill ? 1 : Math.min(1, Math.max(0, time - start) / DURATION);
    shown = Math.round(from + (bytes - from) * (1 - (1 - progress) ** 3));
    element("number").textContent = bytesText(shown);
    if (progress < 1) frame = requestAnimationFrame(step);
  };
  step(start);
}
