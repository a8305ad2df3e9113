// Two tables whose numbers are also bars: the network's size in several formats, and what each of its tensors takes.
import type { Squeezed, SqueezedTensor } from "./messages.js";
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
export function showLayers({ tensors }: Squeezed): void {
  const weights = tensors.filter(({ isWeight }) => isWeight);
  const others = tensors.filter(({ isWeight }) => !isWeight);
  const rows = weights.map((tensor) => {
    const row = rowOf(tensor.name, [tensor]);
    row.querySelector("th")!.title = `${tensor.name} [${tensor.shape.join(" × ")}]`;
    return row;
  });
  if (others.length > 0) {
    const row = rowOf(`${others.length} biases and the like`, others);
    row.className = "rest";
    rows.push(row);
  }
  fill("layers", rows);
}

function rowOf(title: string, tensors: SqueezedTensor[]): HTMLTableRowElement {
  const sum = (value: (tensor: SqueezedTensor) => number) =>
    tensors.reduce((total, tensor) => total + value(tensor), 0);
  const bytes = sum(({ byteLength }) => byteLength);
  const bits =
    (8 * bytes) /
    Math.max(
      1,
      sum(({ shape }) => shape.reduce((a, b) => a * b, 1)),
    );
  const row = document.createElement("tr");
  row.append(cell("th", title), barCell(bits / FULL_BITS, bits.toFixed(2)));
  row.append(cell("td", bytesText(bytes)), cell("td", bytesText(sum(({ originalBytes }) => originalBytes))));
  return row;
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
