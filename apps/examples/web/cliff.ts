// Under the slider: a column for each of its positions, as high as the share of pictures that are read as they should be there.
// Columns appear as positions are tried. It shows at a glance how far one can go: a plateau, then a cliff.
import { element } from "./text.js";

/** Empties it for another network. */
export function clearCliff(positions: number): void {
  const columns = Array.from({ length: positions }, () => document.createElement("i"));
  element("cliff").replaceChildren(...columns);
}

/** @param share 0 .. 1 */
export function showInCliff(position: number, share: number): void {
  (element("cliff").children[position] as HTMLElement).style.setProperty("--share", `${share}`);
}

export function markInCliff(position: number): void {
  for (const [i, column] of [...element("cliff").children].entries())
    column.classList.toggle("current", i === position);
}
