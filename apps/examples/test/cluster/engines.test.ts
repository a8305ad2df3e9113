// Sweeps on the engines that people have: Slurm, GNU parallel and Kubernetes' own schema, with the files of cluster/. An
// engine that is not there, or cannot start, says why; where BITDIET_ENGINES is set, as in CI, it is a failure if none can.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { planLines } from "../../methods/jobs.js";
import { RECIPES } from "../../methods/recipes.js";
import { tinySource } from "../methods/tiny-source.js";
import { pause, type Slurm, startSlurm } from "./slurm.js";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../../../..");
const SIX = 6;
const folder = mkdtempSync(join(tmpdir(), "bitdiet-cluster-"));
const list = join(folder, "jobs.jsonl");
const whyNot = new Map<string, string>();

beforeAll(async () => {
  await useBackend("wasm");
  const source = { ...(await tinySource(folder)), codedImages: 100 };
  const lines = planLines(RECIPES, source).filter((line) => /"cat\.plain/.test(line));
  // The first one lasts, so that it can be ended in the middle.
  const long = planLines(RECIPES, { ...source, steps: 600 }).filter((line) => /"cat\.plain-5-1"/.test(line));
  writeFileSync(list, `${[...long, ...lines.slice(1, SIX)].join("\n")}\n`);
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  for (const [engine, reason] of whyNot) console.warn(`${engine}: skipped, ${reason}`);
  if (process.env["BITDIET_ENGINES"] && whyNot.size === 2) throw new Error("no engine could start");
});

/** Files of results, whole ones only. */
const rows = (results: string) =>
  existsSync(results)
    ? readdirSync(results)
        .filter((name) => name.endsWith(".json"))
        .sort()
    : [];

async function expectWholeTable(results: string): Promise<void> {
  const main = "apps/examples/methods/main.ts";
  const args = ["--import", "tsx", main, "collect", list, "--results", results];
  const { stdout } = await run(process.execPath, args, { cwd: ROOT });
  expect(stdout).toBe("all of 6 jobs are done\n");
  const table = readFileSync(join(results, "README.md"), "utf8");
  expect(table.match(/npm run methods -- cat/g)!.length).toBe(SIX);
  expect(readdirSync(join(results, "unfinished"))).toEqual([]);
}

describe("GNU parallel", () => {
  test("makes six jobs by the line of the manual", async ({ skip }) => {
    const version = await run("parallel", ["--version"]).catch((error: Error) => error);
    if (version instanceof Error) {
      whyNot.set("GNU parallel", version.message);
      return skip(version.message);
    }
    const results = join(folder, "by-parallel");
    const [line] = /seq 100 \\\| parallel [^`]*/.exec(readFileSync(join(ROOT, "cluster/README.md"), "utf8"))!;
    const own = line.replace("100", `${SIX}`).replace("\\|", "|").replace("jobs.jsonl", list);
    const command = own
      .replace("--results results", `--results ${results}`)
      .replace("parallel ", "parallel -j2 ");
    await run("sh", ["-c", command], { cwd: ROOT, timeout: 800_000 });
    expect(rows(results).length).toBe(SIX);
    await expectWholeTable(results);
  }, 900_000);
});

describe("Slurm", () => {
  let slurm: Slurm;
  let reason: string | undefined;
  beforeAll(async () => {
    try {
      slurm = await startSlurm();
    } catch (error) {
      reason = (error as Error).message;
      whyNot.set("Slurm", reason);
    }
  }, 120_000);
  afterAll(() => slurm?.stop(), 60_000);

  test("makes six jobs as an array; one is ended in the middle, requeued, and goes on", async ({ skip }) => {
    if (reason) return skip(reason);
    const results = join(folder, "by-slurm");
    const submitted = await slurm.command("sbatch", "--parsable", `--array=0-${SIX - 1}`, `--chdir=${ROOT}`,
      `--output=${folder}/slurm-%a.out`, join(ROOT, "cluster/slurm.sbatch"), list, results); // biome-ignore format: as typed
    const array = submitted.trim();
    const unfinished = join(results, "unfinished");
    const isUnderWay = () =>
      existsSync(unfinished) && readdirSync(unfinished).some((name) => /^cat\.plain-5-1/.test(name));
    const log = () => readFileSync(join(folder, "slurm-0.out"), "utf8");
    for (let i = 0; i < 1000 && !isUnderWay(); i++) await pause(200);
    await slurm.command("scancel", "--signal=TERM", `${array}_0.0`);
    let restarts = 0;
    for (let i = 0; i < 1000 && (await slurm.command("squeue", "-h")) !== ""; i++) {
      const job = await slurm.command("scontrol", "show", "job", `${array}_0`).catch(() => "");
      // Slurm waits two minutes before it starts a requeued job.
      if (/JobState=PENDING/.test(job))
        await slurm.command("scontrol", "update", `job=${array}_0`, "StartTime=now");
      restarts = Math.max(restarts, Number(/Restarts=(\d+)/.exec(job)?.[1] ?? 0));
      await pause(300);
    }
    expect(log()).toMatch(/stopped after step \d+ of 600, kept in /);
    expect(restarts).toBe(1);
    expect(rows(results).length).toBe(SIX);
    await expectWholeTable(results);
  }, 900_000);

  test("starts two ranks that train together, and end with the row of one process", async ({ skip }) => {
    if (reason) return skip(reason);
    const made = async (results: string, start: (args: string[]) => Promise<unknown>) => {
      const own = join(folder, results);
      await start([
        "--import",
        "tsx",
        "apps/examples/methods/main.ts",
        "run",
        list,
        "--index",
        "1",
        "--results",
        own,
      ]);
      return { ...JSON.parse(readFileSync(join(own, rows(own)[0]), "utf8")), seconds: 0 };
    };
    const bySrun = await made("by-srun", (args) => {
      const token = "--export=ALL,BITDIET_TOKEN=0123456789abcdef";
      return slurm.command("srun", "-n", "2", token, `--chdir=${ROOT}`, process.execPath, ...args, "--ranks");
    });
    const alone = await made("alone", (args) =>
      run(process.execPath, [...args, "--workers", "1"], { cwd: ROOT }),
    );
    expect(bySrun).toEqual(alone);
  }, 900_000);
});

describe("the Kubernetes manifest", () => {
  test("is an indexed Job by Kubernetes' own schema, and of what this repository has", async () => {
    const { Job } = await import("kubernetes-models/batch/v1/Job");
    const manifest = parse(
      readFileSync(join(ROOT, "cluster/kubernetes-indexed-job.yaml"), "utf8"),
    ) as JobManifest;
    const job = new Job(manifest as object as ConstructorParameters<typeof Job>[0]);
    expect(() => job.validate()).not.toThrow();
    const { completionMode, completions, template } = manifest.spec;
    expect(completionMode).toBe("Indexed");
    expect(completions).toBe(RECIPES.flatMap(({ runs }) => runs).length);
    expect(existsSync(join(ROOT, template.spec.containers[0].command[3]))).toBe(true);
    const wrong = structuredClone(manifest);
    (wrong.spec as { completions: unknown }).completions = "all";
    expect(() => new Job(wrong as object as ConstructorParameters<typeof Job>[0]).validate()).toThrow(
      "integer",
    );
  });
});

interface JobManifest {
  spec: {
    completionMode: string;
    completions: number;
    template: { spec: { containers: { command: string[] }[] } };
  };
}
