/**
 * Kills at random moments: `npm run kills -- --count 100 --seed 1`.
 *
 * The command compresses and decompresses, and a training run writes its checkpoints, until a signal ends it. What was there must be
 * there or replaced by what is whole; nothing may lie beside it. After SIGKILL, which nobody can hear, the next run must clean up. Each
 * kill is a line; its number and the seed decide what it does, so that `--from 57` goes on with the 57th.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { uniform as random } from "@bitdiet/zoo/data/random";
import { encodeModel } from "bitdiet";
import cac from "cac";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"] as const;
type Signal = (typeof SIGNALS)[number];

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const COMMAND = at("../../bitdiet/bin/bitdiet.js");
const TRAINING = ["--import", import.meta.resolve("tsx"), at("kills-training.ts")];

/** Something that is killed, in a folder of its own. */
interface Work {
  name: string;
  args: string[];
  /** Files that are there before: what the work replaces, and what it reads. */
  before: Record<string, Uint8Array>;
  /** Names of what the work writes. */
  output: string[];
}

/** Numbers from a normal-like distribution, as bytes. */
function weights(count: number, seed: number): Uint8Array {
  const next = random(seed);
  return new Uint8Array(Float32Array.from({ length: count }, () => next() + next() + next() - 1.5).buffer);
}

function safetensors(): Uint8Array {
  const header = JSON.stringify({
    a: { dtype: "F32", shape: [300, 400], data_offsets: [0, 480_000] },
    b: { dtype: "F32", shape: [200, 100], data_offsets: [480_000, 560_000] },
  });
  const length = new Uint8Array(BigUint64Array.of(BigInt(header.length)).buffer);
  return Buffer.concat([length, Buffer.from(header), weights(140_000, 1)]);
}

/** Of several files when it is written out: a model.json and three shards of 4 MB. */
function tfjsModel(seed: number): Uint8Array {
  const shape = [1500, 2000];
  const json = {
    format: "graph-model",
    modelTopology: { node: [] },
    weightsManifest: [{ paths: ["w"], weights: [{ name: "w", shape, dtype: "float32" }] }],
  };
  const text = (value: string) => new TextEncoder().encode(value);
  return encodeModel({
    metadata: [
      { name: "format", bytes: text("tfjs-graph") },
      { name: "model.json", bytes: text(JSON.stringify(json)) },
    ],
    tensors: [{ name: "w", dtype: "float32", shape, bytes: weights(3e6, seed) }],
  });
}

const SHARDS = ["out/model.json", ...[1, 2, 3].map((i) => `out/group1-shard${i}of3.bin`)];
const EVALUATION = Buffer.from(
  "export default async ({ tensors }) => { let sum = 0; for (const t of Object.values(tensors)) sum += (await t.bytes()).length; return sum; };",
);

function works(): Work[] {
  const model = safetensors();
  const compress = ["compress", "m.safetensors", "--bits", "4", "-o", "out.bitdiet"];
  const file = tfjsModel(1);
  const decompress = ["decompress", "m.bitdiet", "-o", "out"];
  return [
    {
      name: "compress",
      args: [COMMAND, ...compress],
      before: { "m.safetensors": model },
      output: ["out.bitdiet"],
    },
    {
      name: "compress --force --evaluate",
      args: [COMMAND, ...compress, "--force", "--evaluate", "score.mjs"],
      before: {
        "m.safetensors": model,
        "score.mjs": EVALUATION,
        "out.bitdiet": Buffer.from("what was there"),
      },
      output: ["out.bitdiet"],
    },
    { name: "decompress", args: [COMMAND, ...decompress], before: { "m.bitdiet": file }, output: SHARDS },
    {
      name: "decompress --force",
      args: [COMMAND, ...decompress, "--force"],
      before: {
        "m.bitdiet": file,
        ...Object.fromEntries(SHARDS.map((name) => [name, Buffer.from("what was there")])),
      },
      output: SHARDS,
    },
    { name: "training", args: [...TRAINING, "state.safetensors"], before: {}, output: ["state.safetensors"] },
  ];
}

/** Files in a folder and below, and their hashes. */
function contents(folder: string): Map<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  return new Map(names.sort().map((name) => [name, hashOf(readFileSync(join(folder, name)))]));
}

const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex").slice(0, 12);

interface Ending {
  code: number | null;
  signal: string | null;
  stderr: string;
  milliseconds: number;
}

/** Runs to the end, or until the signal after so many milliseconds. */
function run(folder: string, args: string[], kill?: { signal: Signal; after: number }): Promise<Ending> {
  const began = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: folder,
    // Its cache would be taken for something left over.
    env: { ...process.env, TMPDIR: join(folder, "temporary"), TSX_DISABLE_CACHE: "1" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let stderr = "";
  child.stderr.on("data", (text) => (stderr += text));
  const timer = kill && setTimeout(() => child.kill(kill.signal), kill.after);
  return new Promise((resolve) =>
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stderr, milliseconds: performance.now() - began });
    }),
  );
}

function fresh(folder: string, before: Work["before"]): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "temporary"), { recursive: true });
  for (const [name, bytes] of Object.entries(before)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
}

/** What is wrong with a folder after a kill: nothing, most of all. */
function faults(
  { before, output }: Work,
  found: ReadonlyMap<string, string>,
  whole: ReadonlyMap<string, string>,
  isSilent: boolean,
): string[] {
  const old = new Map(Object.entries(before).map(([name, bytes]) => [name, hashOf(bytes)]));
  const isNew = (name: string) => found.get(name) === whole.get(name);
  const isOld = (name: string) => found.get(name) === old.get(name);
  const isOutput = new Set(output);
  const wrong = [...new Set([...found.keys(), ...old.keys()])].filter((name) => {
    if (isOutput.has(name)) return !isNew(name) && !isOld(name);
    return !isOld(name) && !(isSilent && /(^|\/)\.bitdiet-[^/]*\.tmp(\/|$)/.test(name));
  });
  const isMixed = !output.every(isNew) && !output.every(isOld);
  return [
    ...wrong.map((name) => `${name}: ${found.has(name) ? "left over or damaged" : "lost"}`),
    ...(isMixed ? ["some of the files are new, some old"] : []),
  ];
}

/** A training state is another one after each step: it must be one that a run can go on from. */
function withoutState(work: Work, found: Map<string, string>): Map<string, string> {
  if (work.name === "training") found.delete("state.safetensors");
  return found;
}

/** One work that is ended in the middle, and done again. @param whole what is in the folder when it was left alone */
async function killed(
  folder: string,
  work: Work,
  whole: ReadonlyMap<string, string>,
  kill: { signal: (typeof SIGNALS)[number]; after: number },
) {
  fresh(folder, work.before);
  const ended = await run(folder, work.args, kill);
  const found = faults(
    work,
    withoutState(work, contents(folder)),
    withoutState(work, new Map(whole)),
    kill.signal === "SIGKILL",
  );
  // A signal may come when all is done and only the process has not ended yet.
  const isDone = work.output.every((name) => contents(folder).get(name) === whole.get(name));
  const again = [...work.args, ...(/^(de)?compress$/.test(work.name) && isDone ? ["--force"] : [])];
  const rerun = await run(folder, again);
  if (rerun.code !== 0) found.push(`run again: exit code ${rerun.code}: ${rerun.stderr.slice(0, 300)}`);
  for (const [name, hash] of contents(folder))
    if (whole.get(name) !== hash) found.push(`run again: ${name} is left over or another`);
  return { ended, found };
}

async function main(): Promise<void> {
  const cli = cac("kills");
  cli.option("--count <n>", "How many kills", { default: 100 });
  cli.option(
    "--seed <n>",
    "Equal seeds kill the same work by the same signals at the same share of its time",
    {
      default: 1,
    },
  );
  cli.option("--from <n>", "The first kill, to go on where one stopped", { default: 0 });
  cli.help();
  const { options } = cli.parse();
  if (options["help"]) return;
  const { count, seed, from } = options as { count: number; seed: number; from: number };
  for (const [name, value] of Object.entries({ count, seed, from }))
    if (!Number.isInteger(value) || value < 0)
      throw new Error(`--${name}: expected a whole number, got ${value}`);
  const folder = mkdtempSync(join(tmpdir(), "bitdiet-kills-"));
  const all = works();
  const whole: { files: Map<string, string>; milliseconds: number }[] = [];
  for (const { name, args, before } of all) {
    fresh(folder, before);
    await run(folder, args); // the second run is the one that is timed: by then all is in the system's memory
    fresh(folder, before);
    const { code, stderr, milliseconds } = await run(folder, args);
    if (code !== 0) throw new Error(`${name}: exit code ${code}: ${stderr}`);
    whole.push({ files: contents(folder), milliseconds });
    console.log(`${name}: ${milliseconds.toFixed(0)} ms, ${[...contents(folder).keys()].join(", ")}`);
  }
  let failures = 0;
  let hits = 0;
  for (let i = from; i < count; i++) {
    const next = random(seed * 1_000_003 + i);
    const which = Math.floor(next() * all.length);
    const signal = SIGNALS[Math.floor(next() * SIGNALS.length)];
    const after = next() * whole[which].milliseconds;
    const { ended, found } = await killed(folder, all[which], whole[which].files, { signal, after });
    if (ended.code !== 0) hits++;
    if (found.length > 0) failures++;
    console.log(
      `${i}: ${all[which].name}, ${signal} after ${after.toFixed(0)} ms: ${ended.code !== 0 ? `ended by ${ended.signal ?? ended.code}` : "was done"}; ${found.join("; ") || "nothing lost, nothing left over"}`,
    );
  }
  rmSync(folder, { recursive: true });
  console.log(
    `${count - from} kills, ${hits} of them before the end, ${failures} with something lost or left over`,
  );
  if (failures > 0) process.exitCode = 1;
}

await main();
