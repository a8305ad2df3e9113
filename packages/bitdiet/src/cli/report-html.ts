/**
 * The table of `inspect` as one HTML file: no scripts, nothing fetched, bars in inline SVG.
 *
 *     htmlReport(report); // "<!doctype html>…"
 */
import { type InspectedTensor, type InspectReport, largestFirst, MAX_ROWS } from "./inspect-report.js";
import { formatBytes, formatNumber } from "./print.js";

export function escaped(text: string): string {
  const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return text.replaceAll(/[&<>"]/g, (character) => entities[character]);
}

/** A horizontal bar of `value` out of `most`, with its number for those who cannot see it. */
function bar(value: number, most: number, label: string): string {
  const width = Math.max(0, Math.min(160, (160 * value) / (most || 1)));
  return `<svg width="160" height="12" role="img" aria-label="${escaped(label)}"><rect class="rest" width="160" height="12" rx="2"/><rect width="${width.toFixed(1)}" height="12" rx="2"/></svg>`;
}

export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = headings.map((heading) => `<th scope="col">${escaped(heading)}</th>`).join("");
  const body = rows.map((cells) => {
    const [first, ...rest] = cells;
    return `<tr><th scope="row">${first}</th>${rest.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${body.join("\n")}\n</tbody></table></div>`;
}

const percent = (share: number | undefined) =>
  share === undefined ? "–" : `${formatNumber(100 * share, 2)} %`;

export function htmlReport(report: InspectReport): string {
  const mostBits = Math.max(...report.tensors.map((tensor) => tensor.bits));
  const mostBytes = Math.max(report.bytes, ...report.baselines.flatMap(({ raw }) => raw));
  const hasDistortion = report.tensors.some((tensor) => tensor.signalToNoise !== undefined);
  const row = (tensor: InspectedTensor) => [
    escaped(tensor.name),
    escaped(`${tensor.dtype} [${tensor.shape.join(", ")}]`),
    formatBytes(tensor.bytes),
    `${formatNumber(tensor.bits, 3)} ${bar(tensor.bits, mostBits, `${formatNumber(tensor.bits, 3)} bits`)}`,
    formatNumber(tensor.entropy, 3),
    percent(tensor.zeros),
    percent(tensor.outliers),
    ...(hasDistortion ? [formatNumber(tensor.signalToNoise, 1)] : []),
  ];
  const columns = [
    "name",
    "type",
    "bytes",
    "bits",
    "entropy",
    "zeros",
    "outliers",
    ...(hasDistortion ? ["SNR, dB"] : []),
  ];
  const tensors = largestFirst(report.tensors);
  const smaller = tensors.slice(MAX_ROWS);
  const sizes: [string, number][] = [
    ["this file", report.bytes],
    ...report.baselines.flatMap(({ name, raw, gzip, brotli }): [string, number][] => [
      [name, raw],
      [`${name} + gzip -9`, gzip],
      [`${name} + brotli -q 11`, brotli],
    ]),
  ];
  return page(
    report.file,
    `<p>${escaped(report.format)}, ${report.tensors.length} tensors, ${report.elements.toLocaleString("en-US")} numbers in ${formatBytes(report.bytes)}: ${formatNumber(report.bitsPerElement, 3)} bits each.${report.comparedWith ? ` Distortion is against ${escaped(report.comparedWith)}.` : ""}${report.sha256 ? ` SHA-256 ${report.sha256}` : ""}</p>
<h2>Size</h2>
${table(
  ["", "bytes", "of this file", ""],
  sizes.map(([name, bytes]) => [
    escaped(name),
    formatBytes(bytes),
    `${formatNumber(bytes / report.bytes, 2)} ×`,
    bar(bytes, mostBytes, formatBytes(bytes)),
  ]),
)}
${report.baselinesAreEstimates ? "<p>Compressed sizes are extrapolated from the leading part of each tensor.</p>" : ""}
<h2>Tensors</h2>
${table(columns, tensors.slice(0, MAX_ROWS).map(row))}
${smaller.length === 0 ? "" : `<details><summary>${smaller.length} smaller tensors</summary>\n${table(columns, smaller.map(row))}\n</details>`}
<p>Bits: coded, each number. Entropy: order 0, of the integers; of float tensors, of their uint8 version. Outliers: beyond 4 deviations. SNR: signal to noise.</p>`,
  );
}

/** A page of its own. @param body below the title */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1d2430; background: #fff; }
  table { border-collapse: collapse; } th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; }
  th:first-child { text-align: left; font-weight: 500; } tbody tr:nth-child(odd) { background: #f3f5f8; }
  .scroll { overflow-x: auto; } svg { vertical-align: middle; fill: #2b6cb0; } .rest { fill: #dde3ea; }
  .plot text { font-size: 11px; fill: currentColor; } .plot .grid { stroke: #8884; } .plot .ring { stroke: currentColor; stroke-width: 2; }
  @media (prefers-color-scheme: dark) { body { color: #e3e7ee; background: #14181f; } tbody tr:nth-child(odd) { background: #1d232d; } svg { fill: #63a4e0; } .rest { fill: #333c49; } }
</style>
<h1>${escaped(title)}</h1>
${body}
</html>
`;
}
