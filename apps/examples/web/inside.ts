// What the network makes of one picture, before and now: its most likely answers, and the feature maps of a layer.
import { type Answers, type Findings, mostLikely } from "./answers.js";
import { barCell } from "./bars.js";
import type { FeatureMaps, Picture, Trial } from "./messages.js";
import { element, percentText } from "./text.js";
import { draw } from "./tiles.js";

/** Answers shown of a network with many classes: its favourites, before or now. */
const SHOWN_ANSWERS = 10;

export function showChosen({ before, isInk }: Trial, picture: Picture, index: number, now: Findings): void {
  const canvas = element<HTMLCanvasElement>("chosen");
  draw(canvas, picture.bitmap);
  canvas.classList.toggle("ink", isInk);
  const isAnswered = "classes" in before && "classes" in now;
  element("answers").hidden = !isAnswered;
  const words = isAnswered
    ? wordsOn(mostLikely(now, index).answer, mostLikely(before, index).answer)
    : `outputs off by ${percentText("errors" in now ? now.errors[index] : 0)}`;
  element("chosen-caption").textContent =
    `${picture.name}${picture.label === undefined ? "" : `, a ${picture.label}`}: ${words}`;
  if (isAnswered) showAnswers(before, now, index);
}

const wordsOn = (answer: number, was: number): string =>
  answer === was ? `read as ${answer}` : `read as ${answer}, before as ${was}`;

function showAnswers(before: Answers, now: Answers, index: number): void {
  const shares = ({ classes, probabilities }: Answers) =>
    probabilities.subarray(index * classes, (index + 1) * classes);
  const [first, second] = [shares(before), shares(now)];
  const favourites = Array.from(first.keys())
    .sort((a, b) => Math.max(first[b], second[b]) - Math.max(first[a], second[a]))
    .slice(0, SHOWN_ANSWERS);
  const rows = favourites
    .sort((a, b) => a - b)
    .map((answer) => {
      const row = document.createElement("tr");
      const title = document.createElement("th");
      title.scope = "row";
      title.textContent = `${answer}`;
      row.append(
        title,
        ...[first, second].map((shares) => barCell(shares[answer], percentText(shares[answer]))),
      );
      return row;
    });
  element<HTMLTableElement>("answers").tBodies[0].replaceChildren(...rows);
}

/** Channels that are drawn at most. */
const MOST_CHANNELS = 64;

/** Both with one scale, from nothing (dark) to the largest value before (bright). */
export function showMaps(layer: string, before: FeatureMaps, now: FeatureMaps | undefined): void {
  const [height, width, channels] = before.shape;
  const shown = Math.min(channels, MOST_CHANNELS);
  const largest = before.values.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-9);
  drawMaps(element<HTMLCanvasElement>("maps-before"), before, shown, largest);
  element("maps-before").setAttribute(
    "aria-label",
    `${shown} of ${channels} feature maps of ${layer}, ${height} by ${width} each, before`,
  );
  if (!now || now.values.length !== before.values.length) {
    // Calibration folds batch norms into the convolutions before them.
    element("maps-now-caption").textContent = "Now: gone, folded into what follows";
    Object.assign(element("maps-now"), { width: 1, height: 1 });
    element("maps-now").setAttribute("aria-label", "Nothing: the layer was folded into what follows");
    return;
  }
  drawMaps(element<HTMLCanvasElement>("maps-now"), now, shown, largest);
  let [error, energy] = [0, 1e-30];
  for (const [i, value] of before.values.entries()) {
    error += (now.values[i] - value) ** 2;
    energy += value ** 2;
  }
  const off = percentText(Math.sqrt(error / energy));
  element("maps-now-caption").textContent = `Now: off by ${off}`;
  element("maps-now").setAttribute(
    "aria-label",
    `The same feature maps now, off by ${off} (root mean square)`,
  );
}

/** From dark to bright through the page's orange. */
const COLOURS = [
  [28, 20, 16],
  [124, 45, 18],
  [234, 88, 12],
  [253, 186, 116],
  [255, 247, 237],
];

/** The first so many channels side by side, from nothing (dark) to the largest value (bright). */
export function drawMaps(
  canvas: HTMLCanvasElement,
  { shape, values }: FeatureMaps,
  shown: number,
  largest: number,
): void {
  const [height, width, channels] = shape;
  const columns = Math.min(shown, shown > 32 ? 16 : 8);
  const rows = Math.ceil(shown / columns);
  canvas.width = columns * (width + 1) - 1;
  canvas.height = rows * (height + 1) - 1;
  const context = canvas.getContext("2d")!;
  const image = context.createImageData(width, height);
  for (let channel = 0; channel < shown; channel++) {
    for (let p = 0; p < height * width; p++) {
      const position =
        Math.min(1, Math.abs(values[p * channels + channel]) / largest) ** 0.6 * (COLOURS.length - 1);
      const from = Math.min(COLOURS.length - 2, Math.floor(position));
      for (let c = 0; c < 3; c++)
        image.data[4 * p + c] =
          COLOURS[from][c] + (position - from) * (COLOURS[from + 1][c] - COLOURS[from][c]);
      image.data[4 * p + 3] = 255;
    }
    context.putImageData(
      image,
      (channel % columns) * (width + 1),
      Math.floor(channel / columns) * (height + 1),
    );
  }
}
