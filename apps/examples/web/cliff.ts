// Under the slider: a column for each of its positions, as high as the share of pictures that are read as they should be there,
// and a line where the other way of compressing got to. Columns appear as positions are tried. It shows at a glance how far one can
// go: a plateau, then a cliff.
import { element } from "./text.js";

/** Shares, 0 .. 1, by the slider's position; undefined where nobody has been. */
export type Cliff = (number | undefined)[];

export function showCliff(now: Cliff, other: Cliff, position: number): void {
  const columns = now.map((share, i) => {
    const column = document.createElement("i");
    column.style.setProperty("--share", `${share ?? 0}`);
    column.classList.toggle("current", i === position);
    const line = document.createElement("b");
    line.style.setProperty("--share", `${other[i] ?? 0}`);
    line.hidden = other[i] === undefined;
    const both = document.createElement("span");
    both.append(column, line);
    return both;
  });
  element("cliff").replaceChildren(...columns);
}
