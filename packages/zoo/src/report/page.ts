// The report's page: one HTML file with everything inside, readable on a phone, without scripts.

export interface Section {
  title: string;
  /** A sentence or two that say how to read what follows. */
  text: string;
  /** Markup: a table, an SVG, pictures. */
  body: string;
}

/** Text as it stands in markup, in attributes too. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

/** A table; the first column is a row header. Cells are text. */
export function table(head: string[], rows: string[][]): string {
  const cells = (row: string[]) =>
    row
      .map((cell, i) =>
        i === 0 ? `<th scope="row">${escapeHtml(cell)}</th>` : `<td>${escapeHtml(cell)}</td>`,
      )
      .join("");
  return `<div class="scroll"><table>
<thead><tr>${head.map((cell) => `<th scope="col">${escapeHtml(cell)}</th>`).join("")}</tr></thead>
<tbody>${rows.map((row) => `<tr>${cells(row)}</tr>`).join("\n")}</tbody>
</table></div>`;
}

/** @param lead one sentence under the title */
export function page(title: string, lead: string, sections: Section[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #111827; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
.lead { font-size: 1.15rem; color: #374151; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.6rem; text-align: right; border-bottom: 1px solid #e5e7eb; white-space: nowrap; }
th:first-child { text-align: left; } thead th { border-bottom: 2px solid #9ca3af; white-space: normal; vertical-align: bottom; }
figure { margin: 1rem 0; } figcaption { color: #374151; font-size: 0.9rem; }
img.maps { image-rendering: pixelated; max-width: 100%; height: auto; border: 1px solid #e5e7eb; }
svg { max-width: 100%; height: auto; }
pre { background: #f3f4f6; padding: 0.8rem; overflow-x: auto; }
</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${escapeHtml(lead)}</p>
${sections.map(({ title, text, body }) => `<h2>${escapeHtml(title)}</h2>\n<p>${escapeHtml(text)}</p>\n${body}`).join("\n")}
</body>
</html>
`;
}
