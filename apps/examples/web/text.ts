// Numbers and answers as people read them.
// Example: `bytesText(21_640)` is "21.6 kB", `timesText(244_520 / 21_640)` is "11 times".

/** Powers of ten, as file managers count them; three digits. */
export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 999_500 ? `${digits(bytes / 1e3)} kB` : `${digits(bytes / 1e6)} MB`;
}

export function timesText(ratio: number): string {
  return `${ratio < 10 ? ratio.toFixed(1) : ratio.toFixed(0)} times`;
}

/** Tenths only where they matter: near 0 and near 100 %. */
export function percentText(share: number): string {
  const percent = 100 * share;
  const isClear = percent < 0.05 || (percent >= 9.95 && percent < 98.95) || percent >= 99.95;
  return `${percent.toFixed(isClear ? 0 : 1)} %`;
}

function digits(value: number): string {
  return value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** The element of this id, which the page is known to have. */
export function element<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no #${id}.`);
  return found as E;
}
