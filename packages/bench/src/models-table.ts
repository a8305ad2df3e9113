/**
 * `npm run models-table -- results/models.json …`: results of the models benchmark as the Markdown that README.md shows.
 */
import { readFileSync } from "node:fs";
import type { ModelResult, Point } from "./models.js";
import { markdownTable, type Row } from "./report.js";

/** Bytes at equal divergence, as shares of NNCodec's, too; then every point. */
export function modelTables(result: ModelResult): string {
  const { name, floatBytes, floatRight, images, calibrationImages, divergences, bytesAtDivergence } = result;
  const nncodec = bytesAtDivergence["NNCodec, best (quoted)"];
  const atEqual = Object.entries(bytesAtDivergence).map(([setting, bytes]) => {
    const row: Row = { [name]: setting };
    for (const [i, divergence] of divergences.entries()) {
      const ratio = bytes[i] && nncodec[i] ? ` (${(bytes[i] / nncodec[i]).toFixed(2)})` : "";
      row[`KL ${divergence}`] = bytes[i] === null ? "–" : `${bytes[i].toLocaleString("en")}${ratio}`;
    }
    return row;
  });
  const pointRow = ({ setting, bytes, divergence, right }: Point): Row => ({
    [name]: setting,
    bytes: bytes.toLocaleString("en"),
    KL: divergence.toFixed(4),
    right: `${right} of ${images}`,
  });
  const points = [...result.calibrated, ...result.weightOnly, ...result.plain].map(pointRow);
  const about = `${name}: ${floatBytes.toLocaleString("en")} float32 bytes, ${floatRight} of ${images} right; ${calibrationImages} images calibrate.`;
  return [about, markdownTable(atEqual), markdownTable(points)].join("\n\n");
}

if (import.meta.filename === process.argv[1]) {
  for (const file of process.argv.slice(2)) {
    const { command, commit, seed, models } = JSON.parse(readFileSync(file, "utf8"));
    console.log(`\`${command}\`, commit ${commit.slice(0, 12)}, seed ${seed}.\n`);
    for (const result of models) console.log(`${modelTables(result)}\n`);
  }
}
