// The sample pictures as tiles, one of which is looked at. They are radio buttons: one stop for the tab key, arrow keys within.
// A tile says what the network now reads where that is wrong, or other than before.
import { type Findings, mostLikely, rootMeanSquare } from "./answers.js";
import type { Picture, Squeezed, Trial } from "./messages.js";
import { element, percentText } from "./text.js";

/** A picture whose outputs are off by more is marked: about where `bitdiet compress` warns, at 5 % of the variance. */
const FAR_OFF = 0.22;

/** How many pictures are read as they should be: as labelled, or where there are no labels, as before. */
export function score({ pictures, before }: Trial, now: Findings): number {
  return pictures.filter((_, i) => isAsItShould(pictures[i], i, before, now)).length;
}

/** What is left of the answers, or of the variance that outputs have: 1 of all, 0 of nothing; undefined where that is not known. */
export function shareKept(trial: Trial | undefined, { now, madeUp }: Squeezed): number | undefined {
  if (trial && now && !("errors" in now)) return score(trial, now) / trial.pictures.length;
  const error = now && "errors" in now ? rootMeanSquare(now) : madeUp?.error;
  return madeUp?.agreement ?? (error === undefined ? undefined : Math.max(0, 1 - error ** 2));
}

function isAsItShould({ label }: Picture, i: number, before: Findings, now: Findings): boolean {
  if ("errors" in now || "errors" in before) return "errors" in now && now.errors[i] <= FAR_OFF;
  return mostLikely(now, i).answer === (label ?? mostLikely(before, i).answer);
}

/** @param choose called with the picture's number when another is chosen */
export function showTiles({ pictures, isInk }: Trial, choose: (picture: number) => void): void {
  const tiles = pictures.map(({ bitmap }, i) => {
    const tile = document.createElement("label");
    const radio = document.createElement("input");
    radio.type = "radio";
    radio.name = "picture";
    radio.className = "unseen";
    radio.checked = i === 0;
    radio.addEventListener("change", () => choose(i));
    const canvas = document.createElement("canvas");
    canvas.classList.toggle("ink", isInk);
    draw(canvas, bitmap);
    const answer = document.createElement("span");
    answer.setAttribute("aria-hidden", "true");
    tile.append(radio, canvas, answer);
    return tile;
  });
  element("tiles").classList.toggle("photos", !isInk);
  element("tiles").replaceChildren(...tiles);
}

export function draw(canvas: HTMLCanvasElement, bitmap: ImageBitmap): void {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d")!.drawImage(bitmap, 0, 0);
}

/** Marks what is read wrongly or otherwise than before, or is far off. */
export function markTiles({ pictures, before }: Trial, now: Findings): void {
  for (const [i, tile] of [...element("tiles").children].entries()) {
    const isFine = isAsItShould(pictures[i], i, before, now);
    tile.classList.toggle("wrong", !isFine);
    const { mark, words } = findingsOn(pictures[i], i, before, now);
    tile.querySelector("span")!.textContent = isFine ? "" : mark;
    tile.querySelector("input")!.setAttribute("aria-label", `${pictures[i].name}${words}`);
  }
}

function findingsOn({ label }: Picture, i: number, before: Findings, now: Findings) {
  if ("errors" in now || "errors" in before) {
    const off = percentText("errors" in now ? now.errors[i] : 0);
    return { mark: off, words: `, outputs off by ${off}` };
  }
  const { answer, share } = mostLikely(now, i);
  const was = mostLikely(before, i).answer;
  const isFine = answer === (label ?? was);
  const truth = label === undefined ? "" : `, a ${label}`;
  const instead = isFine ? "" : label === undefined ? `, before as ${was}` : ", wrongly";
  return { mark: `${answer}`, words: `${truth}, read as ${answer}${instead}, ${percentText(share)} sure` };
}
