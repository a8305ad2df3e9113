// Two tables whose numbers are also bars: the network's size in several formats, and what each of its tensors takes.
import type { Opened, Squeezed } from "./messages.js";
import { bytesText, element } from "./text.js";

export interface SizeRow {
  name: string;
  bytes: number;
  /** The one that the slider moves. */
  isNow?: boolean;
}

export function showSizes(rows: SizeRow[]): void {
  const most = Math.max(...rows.map(({ bytes }) => bytes));
  fill(
    "sizes",
    rows.map(({ name, bytes, isNow }) => {
      const row = document.createElement("tr");
      row.classList.toggle("now", isNow === true);
      row.append(cell("th", name), barCell(bytes / most, bytesText(bytes)));
      return row;
    }),
  );
}

/** Bits a weight that fill a bar. */
const FULL_BITS = 8;

/** Weights only: what is kept as it was is summed up in the last row. */
export function showLayers({ tensors }: Opened, squeezed: Squeezed): void {
  const rows: HTMLTableRowElement[] = [];
  const rest = { tensors: 0, weights: 0, bytes: 0, float32Bytes: 0 };
  for (const [i, { name, shape, float32Bytes }] of tensors.entries()) {
    const { byteLength, bits, isWeight } = squeezed.tensors[i];
    if (isWeight) {
      const row = document.createElement("tr");
      const title = cell("th", name);
      title.title = `${name} [${shape.join(" × ")}]`;
      row.append(title, barCell(bits / FULL_BITS, bits.toFixed(2)));
      row.append(cell("td", bytesText(byteLength)), cell("td", bytesText(float32Bytes)));
      rows.push(row);
    } else {
      rest.tensors++;
      rest.weights += shape.reduce((a, b) => a * b, 1);
      rest.bytes += byteLength;
      rest.float32Bytes += float32Bytes;
    }
  }
  if (rest.tensors > 0) {
    const row = document.createElement("tr");
    row.className = "rest";
    const bits = (8 * rest.bytes) / Math.max(1, rest.weights);
    row.append(cell("th", `${rest.tensors} biases and the like`), barCell(bits / FULL_BITS, bits.toFixed(2)));
    row.append(cell("td", bytesText(rest.bytes)), cell("td", bytesText(rest.float32Bytes)));
    rows.push(row);
  }
  fill("layers", rows);
}

function fill(table: string, rows: HTMLTableRowElement[]): void {
  element<HTMLTableElement>(table).tBodies[0].replaceChildren(...rows);
}

function cell(kind: "th" | "td", text: string): HTMLTableCellElement {
  const made = document.createElement(kind);
  if (kind === "th") made.scope = "row";
  made.textContent = text;
  return made;
}

/** A number and a bar of its length. @param share of the full length, cut at 1 */
export function barCell(share: number, text: string): HTMLTableCellElement {
  const made = document.createElement("td");
  made.className = "bar";
  const bar = document.createElement("i");
  bar.style.setProperty("--share", `${Math.min(1, share)}`);
  const number = document.createElement("span");
  number.textContent = text;
  made.append(bar, number);
  return made;
}
