// The tables and curves of all results there are: methods/README.md between two marks, and an SVG for feature maps and one
// for weights.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { bdRate, paretoFront } from "@bitdiet/zoo/report/bd-rate";
import { ratePlot } from "@bitdiet/zoo/report/plots";
import { writeWhole } from "@bitdiet/zoo/report/write";
import type { Row } from "./recipe.js";
import { RECIPES } from "./recipes.js";

/** All results in a folder, in the order of the recipes and their runs. */
function storedRows(results: string): Row[] {
  if (!existsSync(results)) return [];
  const rows = readdirSync(results)
    .filter((file) => file.endsWith(".json"))
    .map((file) => JSON.parse(readFileSync(join(results, file), "utf8")) as Row);
  const order = RECIPES.flatMap(({ name, runs }) => runs.map(({ id }) => `${name}.${id}`));
  const placeOf = ({ recipe, id }: Row) => order.indexOf(`${recipe}.${id}`);
  return rows.filter((row) => placeOf(row) >= 0).sort((a, b) => placeOf(a) - placeOf(b));
}

const START = "<!-- results -->";
const END = "<!-- /results -->";

/** Draws the plots, and replaces what stands between the marks of the README, which is made if there is none. */
export async function writeTable(results: string, readme: string): Promise<void> {
  const rows = storedRows(results);
  const float = rows.find(({ recipe }) => recipe === "float");
  const sections = float
    ? [`Float network: ${percent(float.accuracy)} of ${float.images.toLocaleString("en")} test images.\n`]
    : [];
  for (const side of SIDES) {
    const points = pointsOf(rows, side.of);
    if (points.length === 0) continue;
    sections.push(`### ${side.title}\n`, markdownTable(points, side.of));
    const curves = curvesOf(points);
    if (curves.size === 0) continue;
    const picture = join(results, `${side.of}.svg`);
    const marks = [...curves].flatMap(([curve, own]) =>
      own.map(({ row, rate }) => ({ curve, label: "", bits: rate, accuracy: row.accuracy })),
    );
    writeWhole(picture, await ratePlot(marks, float?.accuracy, side.unit));
    sections.push(`![Rate against accuracy](${relative(dirname(readme), picture)})\n`);
    sections.push(...side.anchors.flatMap((anchor) => deltaRates(curves, anchor)));
  }
  const text = existsSync(readme) ? readFileSync(readme, "utf8") : `${START}\n${END}\n`;
  const [before, after] = [text.indexOf(START), text.indexOf(END)];
  if (before < 0 || after < before) return;
  const head = text.slice(0, before + START.length);
  writeWhole(readme, `${head}\n\n${sections.join("\n")}\n${text.slice(after)}`);
}

const SIDES = [
  {
    of: "activations",
    title: "Feature maps",
    unit: "coded bits per value",
    anchors: ["cat: λ = 0", "cat: λ = 0, longer"],
  },
  { of: "weights", title: "Weights", unit: "coded bits per weight", anchors: ["diffq: fixed width"] },
] as const;
type Side = (typeof SIDES)[number]["of"];

/** A row as a point of a plot: bits as written. */
interface Point {
  row: Row;
  rate: number;
}

function pointsOf(rows: Row[], of: Side): Point[] {
  return rows.flatMap((row) => {
    const bits = row.of === of || row.of === "both" ? row[of] : undefined;
    return bits ? [{ row, rate: bits.coded }] : [];
  });
}

function curvesOf(points: Point[]): Map<string, Point[]> {
  const curves = new Map<string, Point[]>();
  for (const point of points) {
    if (point.row.curve === undefined) continue;
    const name = `${point.row.recipe}: ${point.row.curve}`;
    curves.set(name, [...(curves.get(name) ?? []), point]);
  }
  return curves;
}

/** Each curve's mean difference in rate to the anchor at equal accuracy, for those trained as long. */
function deltaRates(curves: Map<string, Point[]>, anchorName: string): string[] {
  const anchor = curves.get(anchorName);
  if (!anchor) return [];
  const frontOf = (points: Point[]) =>
    paretoFront(points.map(({ row, rate }) => ({ rate, quality: row.accuracy })));
  const steps = anchor[0].row.steps * anchor[0].row.batch;
  const lines = [...curves].flatMap(([name, points]) => {
    const front = frontOf(points);
    const isComparable = points.every(({ row }) => row.steps * row.batch === steps);
    if (name === anchorName || !isComparable || front.length < 2 || frontOf(anchor).length < 2) return [];
    const delta = bdRate(frontOf(anchor), front);
    const share = Number.isNaN(delta) ? "no accuracy in common" : `${(100 * delta).toFixed(1)} %`;
    return [`| ${name} | ${share} |`];
  });
  if (lines.length === 0) return [];
  return [
    `| BD-rate against "${anchorName}", trained as long | bits at equal accuracy |\n| --- | --- |`,
    ...lines,
    "",
  ];
}

function markdownTable(points: Point[], of: Side): string {
  const head = [
    "method",
    "published",
    "network",
    "bits, written",
    "entropy",
    ...(of === "activations" ? ["Huffman", "tANS"] : ["packed + brotli"]),
    "fixed width",
    "top-1, decoded",
    "steps × batch",
    "n, seed",
    "seconds",
    "command",
  ];
  const lines = points.map(({ row, rate }, i) => {
    const bits = row[of]!;
    const others = "huffman" in bits ? [bits.huffman, bits.ans] : [bits.packedBrotli];
    const recipe = RECIPES.find(({ name }) => name === row.recipe)!;
    const isFirst = points[i - 1]?.row.recipe !== row.recipe;
    return [
      isFirst ? recipe.paper : "",
      isFirst ? recipe.published : "",
      row.title,
      `**${rate.toFixed(3)}**${isOfStreams(row, of) ? " †" : ""}`,
      bits.entropy.toFixed(3),
      ...others.map((one) => one.toFixed(3)),
      Number.isInteger(bits.fixedWidth) ? `${bits.fixedWidth}` : bits.fixedWidth.toFixed(2),
      percent(row.accuracy),
      row.steps > 0 ? `${row.steps} × ${row.batch}` : "none",
      `${row.images.toLocaleString("en")}, ${row.seed}`,
      `${row.seconds}`,
      `\`${row.command}\``,
    ];
  });
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const note = points.some(({ row }) => isOfStreams(row, of))
    ? "\n† not made anew since networks are shipped as files: streams, steps and biases, without names and hashes.\n"
    : "";
  return `${[line(head), line(head.map(() => "---")), ...lines.map(line)].join("\n")}\n${note}`;
}

/** Whether a row's bits of weights are those of streams, as all were before files. */
const isOfStreams = (row: Row, of: Side): boolean => of === "weights" && row.unit !== "file";

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;
