// The table and the curves of all results there are: methods/README.md between two marks, and an SVG for each side.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type RatePoint, ratePlot } from "../report/plots.js";
import { writeWhole } from "../report/write.js";
import type { Row } from "./recipe.js";
import { RECIPES } from "./recipes.js";

/** All results in a folder, in the order of the recipes and their runs. */
export function storedRows(results: string): Row[] {
  if (!existsSync(results)) return [];
  const rows = readdirSync(results)
    .filter((file) => file.endsWith(".json"))
    .map((file) => JSON.parse(readFileSync(join(results, file), "utf8")) as Row);
  const order = RECIPES.flatMap(({ name, runs }) => runs.map(({ id }) => `${name}.${id}`));
  const placeOf = ({ recipe, id }: Row) => order.indexOf(`${recipe}.${id}`);
  return rows.filter((row) => placeOf(row) >= 0).sort((a, b) => placeOf(a) - placeOf(b));
}

/** Accuracy of the float network that everything starts from, on the development half of the test images. */
const FLOAT = 0.868;

/** Draws both plots and replaces what stands between the marks of the README. */
export async function writeTable(results: string, readme: string): Promise<void> {
  const rows = storedRows(results);
  const picture = (file: string) => join(results, file);
  const sides = [
    { of: "activations", unit: "coded bits per value", file: "activations.svg" },
    { of: "weights", unit: "coded bits per weight", file: "weights.svg" },
  ] as const;
  const sections: string[] = [];
  for (const { of, unit, file } of sides) {
    const own = rows.filter((row) => (row.of === of || row.of === "both") && row[of]);
    if (own.length === 0) continue;
    const points = own.flatMap((row): RatePoint[] =>
      row.curve && row[of]
        ? [{ curve: `${row.recipe}: ${row.curve}`, label: "", bits: row[of].coded, accuracy: row.accuracy }]
        : [],
    );
    if (points.length > 0) writeWhole(picture(file), await ratePlot(points, FLOAT, unit));
    sections.push(`### ${of === "activations" ? "Feature maps" : "Weights"}\n`, markdownTable(own, of));
    if (points.length > 0) {
      sections.push(`![Rate against accuracy](${relative(dirname(readme), picture(file))})\n`);
    }
  }
  const text = existsSync(readme) ? readFileSync(readme, "utf8") : "";
  const [before, after] = [text.indexOf(START), text.indexOf(END)];
  if (before < 0 || after < before) return;
  writeWhole(
    readme,
    `${text.slice(0, before + START.length)}\n\n${sections.join("\n")}\n${text.slice(after)}`,
  );
}

const START = "<!-- results -->";
const END = "<!-- /results -->";

function markdownTable(rows: Row[], of: "activations" | "weights"): string {
  const unit = of === "activations" ? "value" : "weight";
  const head = [
    "method",
    "network",
    `bits a ${unit}, written`,
    "entropy",
    ...(of === "activations" ? ["Huffman", "ANS"] : ["packed + brotli"]),
    "fixed width",
    "top-1, decoded",
    "steps",
    "n, seed",
    "seconds",
    "command",
  ];
  const lines = rows.map((row) => {
    const bits = row[of]!;
    const others = "huffman" in bits ? [bits.huffman, bits.ans] : [bits.packedBrotli];
    return [
      row.recipe,
      row.title,
      `**${bits.coded.toFixed(3)}**`,
      bits.entropy.toFixed(3),
      ...others.map((one) => one.toFixed(3)),
      Number.isInteger(bits.fixedWidth) ? `${bits.fixedWidth}` : bits.fixedWidth.toFixed(2),
      `${(100 * row.accuracy).toFixed(2)} %`,
      row.steps > 0 ? `${row.steps}` : "none",
      `${row.images.toLocaleString("en")}, ${row.seed}`,
      `${row.seconds}`,
      `\`${row.command}\``,
    ];
  });
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return `${[line(head), line(head.map(() => "---")), ...lines.map(line)].join("\n")}\n`;
}
