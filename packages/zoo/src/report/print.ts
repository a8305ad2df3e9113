// What a job says when it is done: its report as JSON, or a table and where the page with pictures is.
import { join, relative } from "node:path";
import { textTable } from "./text-table.js";

/** @param table head and rows, of what people look at first */
export function printReport(
  { out, json }: { out: string; json: boolean },
  report: { summary: string },
  table: Parameters<typeof textTable>,
): void {
  if (json) {
    console.log(JSON.stringify(report, null, 2));
    return;
  }
  const html = relative(process.cwd(), join(out, "report.html"));
  console.log(`\n${textTable(...table)}\n`);
  console.log(
    `${report.summary}\n\nReport: ${html}, with report.json and the networks' .bitdiet files beside it.`,
  );
}
