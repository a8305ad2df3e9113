/**
 * Models that people have, through the command as a stranger would use it: no options, whole files, decompressed and run again on
 * real inputs. Beside them what people do today: float16, uint8 per tensor and int8 per channel, each behind brotli-11.
 *
 * BITDIET_MODELS names some, by commas. Rows are kept in `out/real-models`: a run that was stopped goes on where it was.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { readModel } from "bitdiet";
import { folderFiles } from "bitdiet/node";
import { divergence } from "bitdiet/run";
import { brotliBytes, type PlainTensor, plainFiles } from "./real-models/baselines.js";
import { named, outputsOf, plainTensors, runnerOf } from "./real-models/outputs.js";
import { type Outputs, type Subject, subjects } from "./real-models/subjects.js";
import { markdownTable, sourceOf } from "./report.js";

const OUT = join(import.meta.dirname, "../out/real-models");
const COMMAND = join(import.meta.dirname, "../../bitdiet/dist/cli/main.js");

/** One file and what it does to the outputs. */
interface Point {
  name: string;
  bytes: number;
  divergence: number;
  same?: string;
}

interface Row {
  model: string;
  /** Of this repository, when the row was made. */
  commit: string;
  kind: string;
  originalBrotli: number;
  inputs: number;
  points: Point[];
  seconds: number;
}

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  mkdirSync(OUT, { recursive: true });
  const wanted = process.env.BITDIET_MODELS?.split(",");
  const rows: Row[] = [];
  for (const subject of subjects
    .filter(({ name }) => !wanted || wanted.includes(name))
    .slice(0, quick ? 1 : undefined)) {
    const kept = join(OUT, `${subject.name}.json`);
    if (existsSync(kept)) rows.push(JSON.parse(readFileSync(kept, "utf8")));
    else {
      const path = await subject.path();
      if (path === undefined) {
        console.log(`${subject.name}: not there, left out`);
        continue;
      }
      const row = await measure(subject, path);
      writeFileSync(kept, JSON.stringify(row, null, 2));
      rows.push(row);
    }
    console.log(`\n${markdownTable(tableOf(rows.slice(-1)))}`);
  }
  return {
    ...sourceOf("real-models"),
    rows,
  };
}

async function measure(subject: Subject, path: string): Promise<Row> {
  console.log(`${subject.name}: reading`);
  const model = await readModel(folderFiles(dirname(path)), basename(path));
  const runner = await runnerOf(model);
  const inputs = (await subject.inputs()).map((feeds) => named(runner, feeds));
  const original = await outputsOf(runner, inputs, subject);
  const judge = (name: string, bytes: number, outputs: Outputs[]): Point => {
    const { value, kind } = divergence(outputs as never, original as never);
    const same =
      subject.sameAnswers && sumOf(outputs.map((each, i) => subject.sameAnswers!(each, original[i])));
    console.log(
      `  ${name.padEnd(32)}${String(bytes).padStart(10)} bytes  ${kind} ${value.toPrecision(3)}  ${same ?? ""}`,
    );
    return { name, bytes, divergence: value, ...(same && { same }) };
  };
  const points: Point[] = [];
  const tensors = await plainTensors(model);
  const structure = Buffer.concat(Object.values(model.metadata));
  const usual = plainFiles(tensors, structure).filter(({ name }) => /^(float16|u?int8)/.test(name));
  for (const { name, bytes, values } of usual)
    points.push(judge(name, bytes, await outputsOf(runner, inputs, subject, values)));
  await runner.dispose();
  const started = performance.now();
  const file = join(OUT, "model.bitdiet");
  const decoded = join(OUT, "decoded");
  // The default, and what the bytes of the more exact integers buy.
  const plain = points.filter(({ name }) => /^u?int8/.test(name));
  const exact = plain.reduce((best, each) => (each.divergence < best.divergence ? each : best));
  for (const options of [[], ["--max-bytes", String(exact.bytes)]]) {
    rmSync(decoded, { recursive: true, force: true });
    const name = ["bitdiet", ...options].join(" ");
    command("compress", path, "-o", file, "--force", "--json", ...options);
    const { files } = JSON.parse(command("decompress", file, "-o", decoded, "--json"));
    const main = files.find(({ file }: { file: string }) => /\.(onnx|json)$/.test(file)).file;
    const back = await readModel(folderFiles(decoded), basename(main));
    const changed = await runnerOf(back);
    points.push(judge(name, statSync(file).size, await outputsOf(changed, inputs, subject)));
    await changed.dispose();
  }
  return {
    model: subject.name,
    commit: sourceOf("real-models").commit,
    kind: model.format,
    originalBrotli: brotliBytes(wholeFiles(dirname(path), basename(path), tensors, structure)),
    inputs: inputs.length,
    points,
    seconds: (performance.now() - started) / 1000,
  };
}

/** What the command printed. */
function command(...args: string[]): string {
  return execFileSync(process.execPath, [COMMAND, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function wholeFiles(
  folder: string,
  name: string,
  tensors: readonly PlainTensor[],
  structure: Uint8Array,
): Uint8Array {
  if (name.endsWith(".onnx")) return readFileSync(join(folder, name));
  return Buffer.concat([structure, ...tensors.map(({ bytes }) => bytes)]);
}

function sumOf(counts: readonly { same: number; of: number }[]): string {
  const [same, of] = counts.reduce(([s, o], each) => [s + each.same, o + each.of], [0, 0]);
  return `${same} of ${of}`;
}

function tableOf(rows: readonly Row[]) {
  return rows.flatMap(({ model, points }) =>
    points.map(({ name, bytes, divergence, same = "" }) => ({
      model,
      file: name,
      bytes,
      divergence: divergence.toPrecision(2),
      same,
    })),
  );
}
