// Plots as SVG text, drawn by vega-lite without a browser, so that a report is one file that opens by itself.
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";

const FONT = "system-ui, sans-serif";
const CONFIG = {
  font: FONT,
  background: "transparent",
  axis: { labelFontSize: 11, titleFontSize: 12, gridColor: "#e5e7eb" },
  legend: { labelFontSize: 12, titleFontSize: 12, labelLimit: 0 },
  view: { stroke: "transparent" },
};

/** One colour a network, in every plot of a report. */
const NETWORK_COLOURS = {
  float: "#6b7280",
  "quantized, 8 bits": "#1e3a8a",
  quantized: "#2563eb",
  "quantized, wide range": "#7dd3fc",
  "compression-aware": "#ea580c",
};

async function svg(spec: TopLevelSpec): Promise<string> {
  const view = new View(parse(compile({ ...spec, config: CONFIG } as TopLevelSpec).spec), {
    renderer: "none",
  });
  const text = await view.toSVG();
  view.finalize();
  return text;
}

export interface LayerBits {
  layer: string;
  network: string;
  bits: number;
}

/** Bars side by side: bits per value of every layer, a colour a network. */
export function layerBitsPlot(rows: LayerBits[], title: string): Promise<string> {
  const layers = [...new Set(rows.map(({ layer }) => layer))];
  const many = layers.length > 10;
  return svg({
    data: { values: rows },
    width: (many ? 45 : 90) * layers.length + 80,
    height: 200,
    mark: { type: "bar", tooltip: true },
    encoding: {
      x: { field: "layer", type: "nominal", sort: layers, title: null, axis: { labelAngle: many ? -45 : 0 } },
      xOffset: { field: "network", sort: Object.keys(NETWORK_COLOURS) },
      y: { field: "bits", type: "quantitative", title },
      color: colourByNetwork(rows),
    },
  } as TopLevelSpec);
}

export interface LevelShare {
  layer: string;
  network: string;
  level: number;
  /** Share of the layer's values on this level, 0 .. 1. */
  share: number;
}

/** Small multiples: how a layer's values are spread over the levels, one panel a layer. */
export function levelHistogramPlot(rows: LevelShare[]): Promise<string> {
  const layers = [...new Set(rows.map(({ layer }) => layer))];
  return svg({
    data: { values: rows },
    columns: 2,
    facet: { field: "layer", type: "nominal", sort: layers, title: null },
    spec: {
      width: 330,
      height: 130,
      mark: { type: "bar", tooltip: true },
      encoding: {
        x: { field: "level", type: "ordinal", title: "level", axis: { labelAngle: 0, labelOverlap: true } },
        xOffset: { field: "network", sort: Object.keys(NETWORK_COLOURS) },
        y: { field: "share", type: "quantitative", title: "share of values", axis: { format: "%" } },
        color: colourByNetwork(rows),
      },
    },
  } as TopLevelSpec);
}

export interface RatePoint {
  curve: string;
  /** Coded bits per value or weight. */
  bits: number;
  /** 0 .. 1, on decoded feature maps. */
  accuracy: number;
  /** What tells the point from the others of its curve. */
  label: string;
}

/**
 * Rate against accuracy: a colour a curve, its points joined by rising rate and labelled, and the float network's accuracy, if
 * known, as a rule. What is over ten points below it is left outside: it would press the rest together.
 */
export function ratePlot(
  points: RatePoint[],
  floatAccuracy: number | undefined,
  unit = "coded bits per value",
): Promise<string> {
  const rule = floatAccuracy === undefined ? [] : [floatAccuracy];
  const accuracies = [...points.map(({ accuracy }) => accuracy), ...rule];
  const least = Math.max(Math.min(...accuracies), (floatAccuracy ?? 0) - 0.1);
  const y = {
    field: "accuracy",
    type: "quantitative",
    title: "accuracy on decoded values",
    scale: { domain: [least - 0.002, Math.max(...accuracies) + 0.002], zero: false },
    axis: { format: ".1%" },
  };
  const x = { field: "bits", type: "quantitative", title: unit };
  const curves = [...new Set(points.map(({ curve }) => curve))];
  const scheme = curves.length > 10 ? "tableau20" : "tableau10";
  const color = { field: "curve", title: null, sort: curves, scale: { scheme } };
  return svg({
    width: 620,
    height: 320,
    layer: [
      {
        data: { values: rule.map((accuracy) => ({ accuracy })) },
        mark: { type: "rule", strokeDash: [4, 4], color: NETWORK_COLOURS.float },
        encoding: { y },
      },
      {
        data: { values: points },
        mark: { type: "line", strokeWidth: 1.2, clip: true },
        encoding: { x, y, color },
      },
      {
        data: { values: points },
        mark: { type: "point", filled: true, size: 60, opacity: 1, clip: true },
        encoding: { x, y, color },
      },
      {
        data: { values: points },
        mark: { type: "text", dy: -10, fontSize: 10, clip: true },
        encoding: { x, y, text: { field: "label" }, color },
      },
    ],
  } as TopLevelSpec);
}

/** The colours of the networks that there are rows of. */
function colourByNetwork(rows: { network: string }[]) {
  const present = Object.entries(NETWORK_COLOURS).filter(([name]) =>
    rows.some(({ network }) => network === name),
  );
  return {
    field: "network",
    title: null,
    sort: present.map(([name]) => name),
    scale: { domain: present.map(([name]) => name), range: present.map(([, colour]) => colour) },
  };
}
