/**
 * Points of a curve as one HTML file: no scripts, nothing fetched, a plot in inline SVG and the numbers below it.
 *
 *     curveHtml("mobilenet.bitdiet", points, { bytes: 300_000, divergence: 0.01 }); // "<!doctype html>…"
 */

import type { CurvePoint } from "./curve.js";
import { formatBytes } from "./print.js";
import { escaped, page, table } from "./report-html.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM] = [720, 420, 70, 40];
const COLOURS = ["#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#718096"];
/** Less counts as nothing. */
const LEAST = 1e-9;

/** @param chosen the file that was written */
export function curveHtml(
  title: string,
  points: readonly CurvePoint[],
  { kind, chosen }: { kind: string; chosen: Pick<CurvePoint, "bytes" | "divergence"> },
): string {
  const unit = kind === "kl" ? "KL divergence, nats" : "relative squared error";
  const series = [...new Set(points.map((point) => point.series))];
  const rows = points.map(({ series, setting, bytes, divergence }) => [
    escaped(`${series}, ${setting}`),
    formatBytes(bytes),
    String(Number(divergence.toPrecision(3))),
  ]);
  const legend = series.map(
    (name, i) => `<span><b style="color:${COLOURS[i % COLOURS.length]}">●</b> ${escaped(name)}</span>`,
  );
  return page(
    title,
    `<p>Bytes of the whole file against ${unit} on inputs that chose nothing; both axes are logarithmic. The ring is the file that was written: ${formatBytes(chosen.bytes)} at ${Number(chosen.divergence.toPrecision(3))}. To get another point, give its bytes as --max-bytes.</p>
<p>${legend.join(" &nbsp; ")}</p>
${plot(points, series, chosen, unit)}
${table(["", "bytes", unit], rows)}`,
  );
}

function plot(
  points: readonly CurvePoint[],
  series: readonly string[],
  chosen: Pick<CurvePoint, "bytes" | "divergence">,
  unit: string,
): string {
  const drawn = points.filter(({ divergence }) => Number.isFinite(divergence));
  const x = scale(
    [...drawn, chosen].map(({ bytes }) => bytes),
    LEFT,
    WIDTH - 20,
  );
  const y = scale(
    [...drawn, chosen].map(({ divergence }) => divergence),
    HEIGHT - BOTTOM,
    20,
  );
  const at = ({ bytes, divergence }: Pick<CurvePoint, "bytes" | "divergence">) =>
    [x.place(bytes).toFixed(1), y.place(divergence).toFixed(1)] as const;
  const lines = series.map((name, i) => {
    const colour = COLOURS[i % COLOURS.length];
    const own = drawn.filter((point) => point.series === name).sort((a, b) => a.bytes - b.bytes);
    const dots = own.map((point) => {
      const [cx, cy] = at(point);
      const label = `${point.series}, ${point.setting}: ${formatBytes(point.bytes)}, ${point.divergence.toPrecision(3)}`;
      return `<circle cx="${cx}" cy="${cy}" r="4" fill="${colour}"><title>${escaped(label)}</title></circle>`;
    });
    const path = own.map((point) => at(point).join(",")).join(" ");
    return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots.join("")}`;
  });
  const across = x.ticks.map(
    (tick) =>
      `<line class="grid" x1="${x.place(tick)}" x2="${x.place(tick)}" y1="20" y2="${HEIGHT - BOTTOM}"/><text x="${x.place(tick)}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${formatBytes(tick)}</text>`,
  );
  const up = y.ticks.map(
    (tick) =>
      `<line class="grid" x1="${LEFT}" x2="${WIDTH - 20}" y1="${y.place(tick)}" y2="${y.place(tick)}"/><text x="${LEFT - 8}" y="${y.place(tick) + 4}" text-anchor="end">${tick}</text>`,
  );
  const [cx, cy] = at(chosen);
  return `<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" role="img" aria-label="${escaped(unit)} against bytes">
${across.join("")}${up.join("")}${lines.join("\n")}
<circle cx="${cx}" cy="${cy}" r="8" fill="none" class="ring"/></svg>`;
}

/** A logarithmic axis: where a value lies, and round values along it. */
function scale(values: readonly number[], from: number, to: number) {
  const logs = values.map((value) => Math.log10(Math.max(value, LEAST)));
  const [least, most] = [Math.min(...logs) - 0.05, Math.max(...logs) + 0.05];
  const place = (value: number) =>
    from + ((to - from) * (Math.log10(Math.max(value, LEAST)) - least)) / (most - least);
  const steps = most - least > 3 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let power = Math.floor(least); power <= most; power++) {
    for (const step of steps) {
      const tick = Number(`${step}e${power}`);
      if (Math.log10(tick) >= least && Math.log10(tick) <= most) ticks.push(tick);
    }
  }
  return { place, ticks };
}
