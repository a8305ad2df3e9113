/**
 * Bars of milliseconds, a group a model and network, as SVG text.
 *
 *     writeFileSync("page.svg", barsOf([{ group: "TF.js, 10 Mbit/s", label: "uint8 + brotli", ms: 1900 }]));
 */
export interface Bar {
  group: string;
  label: string;
  ms: number;
}

const [WIDTH, LEFT, LINE, GAP] = [760, 250, 20, 34];

export function barsOf(bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ ms }) => ms));
  const perMs = (WIDTH - LEFT - 80) / most;
  const text = (x: number, y: number, content: string, rest = "") =>
    `<text x="${x}" y="${y}" ${rest}>${content.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</text>`;
  let y = 0;
  let group = "";
  const marks = bars.flatMap((bar) => {
    const isNew = bar.group !== group;
    group = bar.group;
    y += isNew ? GAP : 0;
    const title = isNew ? [text(8, y - 8, group, 'font-weight="bold"')] : [];
    const width = bar.ms * perMs;
    const colour = bar.label.startsWith("bitdiet") ? "#ea580c" : "#6b7280";
    const line = [
      text(LEFT - 8, y + 13, bar.label, 'text-anchor="end"'),
      `<rect x="${LEFT}" y="${y + 2}" width="${width.toFixed(1)}" height="${LINE - 5}" fill="${colour}"/>`,
      text(LEFT + width + 6, y + 13, `${Math.round(bar.ms)} ms`),
    ];
    y += LINE;
    return [...title, ...line];
  });
  const size = `width="${WIDTH}" height="${y + 8}" viewBox="0 0 ${WIDTH} ${y + 8}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" font-size="12">\n${marks.join("\n")}\n</svg>\n`;
}
