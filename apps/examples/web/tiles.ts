// The sample pictures as tiles, one of which is looked at. They are radio buttons: one stop for the tab key, arrow keys within.
// A tile says what the network now reads where that is wrong, or other than before.
import { type Answers, mostLikely } from "./answers.js";
import type { Picture, Trial } from "./messages.js";
import { element, percentText } from "./text.js";

/** How many pictures are read as they should be: as labelled, or where there are no labels, as before. */
export function score({ pictures, before }: Trial, now: Answers): number {
  return pictures.filter((_, i) => isAsItShould(pictures[i], i, before, now)).length;
}

function isAsItShould({ label }: Picture, i: number, before: Answers, now: Answers): boolean {
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

/** Marks what is read wrongly or otherwise than before. */
export function markTiles({ pictures, before }: Trial, now: Answers): void {
  for (const [i, tile] of [...element("tiles").children].entries()) {
    const { answer, share } = mostLikely(now, i);
    const { name, label } = pictures[i];
    const isFine = isAsItShould(pictures[i], i, before, now);
    tile.classList.toggle("wrong", !isFine);
    tile.querySelector("span")!.textContent = isFine ? "" : `${answer}`;
    const truth = label === undefined ? "" : `, a ${label}`;
    const was = isFine
      ? ""
      : label === undefined
        ? `, before as ${mostLikely(before, i).answer}`
        : ", wrongly";
    const description = `${name}${truth}, read as ${answer}${was}, ${percentText(share)} sure`;
    tile.querySelector("input")!.setAttribute("aria-label", description);
  }
}
