// Boxes on a picture, for a page: an SVG with the JPEG inside once, and beside each other as often as there are opinions of it.
import { escapeHtml } from "./page.js";

/** What one column shows. */
export interface Opinion {
  title: string;
  boxes: readonly { name: string; score?: number; box: ArrayLike<number> }[];
}

/** A picture in columns, a colour a class. */
export interface BoxedPicture {
  id: string;
  jpeg: Uint8Array;
  width: number;
  height: number;
  /** In whose order the colours go. */
  names: readonly string[];
  opinions: readonly Opinion[];
}

const COLOURS = ["#ea580c", "#2563eb", "#16a34a", "#db2777", "#ca8a04", "#0891b2", "#7c3aed"];
/** Width of a column; what is written in it does not grow with the picture. */
const COLUMN = 320;
const GAP = 8;
const TITLE = 20;

/** Corners of boxes are in pixels, counted from 1, the last one inside. */
export function boxedPicture({ id, jpeg, width, height, names, opinions }: BoxedPicture): string {
  const scale = COLUMN / width;
  const [wide, high] = [opinions.length * (COLUMN + GAP) - GAP, height * scale + TITLE];
  const picture = `data:image/jpeg;base64,${Buffer.from(jpeg).toString("base64")}`;
  const columns = opinions.map(({ title, boxes }, i) => {
    const drawn = boxes.map(({ name, score, box }) => {
      const [left, top, right, bottom] = Array.from(box, (side) => side * scale);
      const colour = COLOURS[Math.max(0, names.indexOf(name)) % COLOURS.length];
      const label = score === undefined ? name : `${name} ${score.toFixed(2)}`;
      const number = (value: number) => value.toFixed(1);
      return (
        `<rect x="${number(left)}" y="${number(top)}" width="${number(right - left)}" height="${number(bottom - top)}" ` +
        `fill="none" stroke="${colour}" stroke-width="1.5"><title>${escapeHtml(label)}</title></rect>` +
        `<text x="${number(left + 2)}" y="${number(top + 9)}" font-size="8.5" fill="#fff" stroke="${colour}" stroke-width="2.2" ` +
        `paint-order="stroke">${escapeHtml(label)}</text>`
      );
    });
    const use =
      i === 0
        ? `<image id="${escapeHtml(id)}" href="${picture}" ${size(height * scale)}/>`
        : `<use href="#${escapeHtml(id)}"/>`;
    return (
      `<g transform="translate(${i * (COLUMN + GAP)} 0)"><text y="14" font-size="13" fill="#374151">${escapeHtml(title)}</text>` +
      `<svg y="${TITLE}" ${size(height * scale)}>${use}${drawn.join("")}</svg></g>`
    );
  });
  return (
    `<figure><svg viewBox="0 0 ${wide} ${high.toFixed(0)}" width="${wide}" font-family="system-ui, sans-serif" role="img" ` +
    `aria-label="${escapeHtml(`Boxes on ${id}: ${opinions.map(({ title }) => title).join(", ")}`)}">${columns.join("")}</svg></figure>`
  );
}

const size = (height: number): string => `width="${COLUMN}" height="${height.toFixed(1)}"`;
