// Keeps what was measured: copies reports into results/ and writes their tables into README.md, between two marks.
//
//     npx tsx mails/results.ts out/spam/report.json     results/spam.json, after the folder, and the README's tables anew
//     npx tsx mails/results.ts                          the README's tables anew
import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { writeWhole } from "@bitdiet/zoo/report/write";
import { headlines, type Report } from "./report.js";

const RESULTS = join(import.meta.dirname, "results");
const README = join(import.meta.dirname, "README.md");
const [BEGIN, END] = ["<!-- results: written by results.ts -->", "<!-- end of results -->"];

for (const path of process.argv.slice(2)) {
  const report = JSON.parse(readFileSync(path, "utf8")) as Report;
  writeWhole(
    join(RESULTS, `${basename(dirname(resolve(path)))}.json`),
    `${JSON.stringify(withoutPlaces(report), null, 2)}\n`,
  );
}
const files = readdirSync(RESULTS).filter((name) => name.endsWith(".json"));
const sections = files
  .sort()
  .map((name) => section(basename(name, ".json"), JSON.parse(readFileSync(join(RESULTS, name), "utf8"))));
const readme = readFileSync(README, "utf8");
const [before, after] = [readme.indexOf(BEGIN), readme.indexOf(END)];
if (before < 0 || after < before) throw new Error(`${README} lacks the marks "${BEGIN}" and "${END}".`);
writeWhole(README, `${readme.slice(0, before)}${BEGIN}\n\n${sections.join("\n")}\n${readme.slice(after)}`);

/** The report without the places where this machine keeps its files. */
function withoutPlaces(report: Report): Report {
  const command = report.command
    .replaceAll(/ --(out \S+|json|resume)/g, "")
    .replaceAll(/--(data|checkpoint) \S+/g, "--$1 DIR")
    .replace(/^npm run start:mails --$/, "npm run start:mails");
  const notes = report.task.notes.map((note) => note.replace(/^.*\//, ""));
  return { ...report, command, task: { ...report.task, notes } };
}

function section(title: string, report: Report): string {
  const { task, ratios, machine, seed, seconds, cpuSeconds, command, config } = report;
  const [head, rows] = headlines(report);
  const sizes = Object.entries(task.development).map(([set, count]) => `${count} of ${set}`);
  const share = (ratio: number) => `${ratio.toFixed(2)} ×`;
  return [
    `### ${title}`,
    "",
    `${task.training} texts for training, ${sizes.join(", ")}; L${config.numHiddenLayers} H${config.hiddenSize}, ` +
      `vocabulary ${config.vocabSize}; seed ${seed}; ${Math.round(seconds)} s (${cpuSeconds} s of computing) on ${machine}. \`${command}\``,
    "",
    line(head),
    line(head.map((_, i) => (i === 0 ? "---" : "--:"))),
    ...rows.map(line),
    "",
    ...("unit" in report
      ? []
      : [
          "Not made anew since networks are shipped as files: weight bytes are of streams, steps and floats.",
          "",
        ]),
    `Compression-aware over quantized at the same bit widths: activations **${share(ratios.activationBits)}**, ` +
      `weights **${share(ratios.weightBytes)}**.`,
    "",
  ].join("\n");
}

function line(cells: string[]): string {
  return `| ${cells.join(" | ")} |`;
}
