// A sweep cut into jobs: what a list says, which job a process takes, and that a run which is told to end in the middle, or
// killed, ends as it would have.
import { type ChildProcess, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { arrayIndex } from "@bitdiet/zoo/runner/array-index";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { trainHere } from "@bitdiet/zoo/training/fine-tune";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { conditionsOf, planLines, readJobs } from "../../methods/jobs.js";
import type { Row } from "../../methods/recipe.js";
import { RECIPES } from "../../methods/recipes.js";
import { keeping, rowOf } from "../../methods/run.js";
import { loadTestbed, type TestbedSource } from "../../methods/testbed.js";
import { tinySource } from "./tiny-source.js";

const folder = mkdtempSync(join(tmpdir(), "bitdiet-jobs-"));
const list = join(folder, "jobs.jsonl");
const cat = RECIPES.filter(({ name }) => name === "cat");
let source: TestbedSource;
beforeAll(async () => {
  await useBackend("wasm");
  source = { ...(await tinySource(folder)), steps: 4, codedImages: 100 };
  writeFileSync(list, `${planLines(cat, source, "plain").join("\n")}\n`);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("a list of jobs", () => {
  test("has a line for every network of the table, with ids of their own, the same each time", () => {
    const lines = planLines(RECIPES, source);
    const ids = lines.map((line) => JSON.parse(line).id as string);
    expect(ids).toEqual(RECIPES.flatMap(({ name, runs }) => runs.map(({ id }) => `${name}.${id}`)));
    expect(new Set(ids).size).toBe(ids.length);
    expect(planLines(RECIPES, source)).toEqual(lines);
  });

  test("read back says what was planned, what npm prints before it left aside", () => {
    const path = join(folder, "from-npm.jsonl");
    writeFileSync(path, `\n> methods\n> npm run it\n\n${planLines(cat, source, "plain-4").join("\n")}\n`);
    const jobs = readJobs(path);
    expect(jobs.map(({ run }) => run.id)).toEqual(["plain-4-1", "plain-4-1.5", "plain-4-2", "plain-4-3"]);
    expect(jobs[0].source).toEqual(source);
  });

  test.each([
    ["{", "line 2: "],
    ["null", "line 2: expected a run of a recipe, got undefined.undefined"],
    ['{"recipe":"cat","run":"plain-4"}', "line 2: expected a run of a recipe, got cat.plain-4"],
    ['{"recipe":"cat","run":"plain-4-1"}', "line 2: --data: expected a path, got undefined"],
    [
      '{"recipe":"cat","run":"plain-4-1","data":"d","checkpoint":"c","steps":"many"}',
      'line 2: --steps: expected a whole number from 1 to 1000000, got "many"',
    ],
  ])("with a line %s is refused", (line, message) => {
    const path = join(folder, "bad.jsonl");
    writeFileSync(path, `${planLines(cat, source, "plain-4-1")[0]}\n${line}\n`);
    expect(() => readJobs(path)).toThrow(message);
  });

  test("that is empty, or not there, is refused", () => {
    const path = join(folder, "empty.jsonl");
    writeFileSync(path, "\n");
    expect(() => readJobs(path)).toThrow("expected jobs, a line each, got none");
    expect(() => readJobs(join(folder, "none"))).toThrow("got no file");
  });
});

describe("the index of a job", () => {
  test.each([
    [undefined, { SLURM_ARRAY_TASK_ID: "0" }, 0],
    [undefined, { JOB_COMPLETION_INDEX: "2" }, 2],
    [undefined, { AWS_BATCH_JOB_ARRAY_INDEX: "2", PARALLEL_SEQ: "" }, 2],
    [undefined, { PARALLEL_SEQ: "1" }, 0],
    [undefined, { PARALLEL_SEQ: "3" }, 2],
    [1, { PARALLEL_SEQ: "3", SLURM_ARRAY_TASK_ID: "0" }, 1],
  ])("given %j, with %j, is %i", (given, environment, index) => {
    expect(arrayIndex(3, given, environment)).toBe(index);
  });

  test.each([
    [undefined, {}, "expected --index or one of SLURM_ARRAY_TASK_ID, .*, got none"],
    [undefined, { PARALLEL_SEQ: "1", SLURM_ARRAY_TASK_ID: "0" }, "got SLURM_ARRAY_TASK_ID, PARALLEL_SEQ"],
    [undefined, { PARALLEL_SEQ: "0" }, 'PARALLEL_SEQ: expected 1 to 3, got "0"'],
    [undefined, { PARALLEL_SEQ: "4" }, 'PARALLEL_SEQ: expected 1 to 3, got "4"'],
    [undefined, { SLURM_ARRAY_TASK_ID: "3" }, 'SLURM_ARRAY_TASK_ID: expected 0 to 2, got "3"'],
    [3, {}, "--index: expected 0 to 2, got 3"],
    [0.5, {}, "--index: expected 0 to 2, got 0.5"],
    [-1, {}, "--index: expected 0 to 2, got -1"],
    ["", {}, '--index: expected 0 to 2, got ""'],
  ])("given %j, with %j, is refused", (given, environment, message) => {
    expect(() => arrayIndex(3, given, environment)).toThrow(new RegExp(message));
  });
});

describe("a run that is told to end", () => {
  // One of each way to train: ranges, rate terms and channel ranges, learned widths, fixed quantizers trained twice.
  test.each([
    ["cat", "channels-1"],
    ["cat", "both-1"],
    ["diffq", "noise-10"],
    ["crq", "clustered"],
  ])(
    "after each of its steps, %s.%s, ends with the row of one that was not",
    async (recipe, id) => {
      const testbed = await loadTestbed(source);
      const of = RECIPES.find(({ name }) => name === recipe)!;
      const job = { recipe: of, run: of.runs.find((run) => run.id === id)!, source };
      const results = join(folder, `told-${id}`);
      const whole = await rowOf(of, job.run, testbed, { results: join(folder, `whole-${id}`), fresh: false });
      const told = AbortSignal.abort();
      let tries = 0;
      const attempt = async (): Promise<Row> => {
        if (++tries > 40) throw new Error("never ends");
        const kept = keeping(trainHere, { results, row: conditionsOf(job), depends: "", stop: told });
        try {
          const row = await rowOf(of, job.run, testbed, {
            results,
            fresh: false,
            trainOn: () => kept.trainOn,
          });
          kept.remove();
          return row;
        } catch (error) {
          expect((error as Error).name).toBe("InterruptedError");
          return attempt();
        }
      };
      const row = await attempt();
      expect(tries).toBeGreaterThan(1);
      expect({ ...row, seconds: 0 }).toEqual({ ...whole, seconds: 0 });
      expect(readdirSync(join(results, "unfinished"))).toEqual([]);
    },
    180_000,
  );
});

describe("npm run methods, as schedulers start it", () => {
  const main = join(import.meta.dirname, "../../methods/main.ts");
  const start = (args: string[], environment: Record<string, string> = {}) =>
    spawn(process.execPath, ["--import", "tsx", main, ...args], { env: { ...process.env, ...environment } });
  const ended = (child: ChildProcess) =>
    new Promise<{ code: number | null; out: string; err: string }>((resolve) => {
      let [out, err] = ["", ""];
      child.stdout?.on("data", (text) => (out += text));
      child.stderr?.on("data", (text) => (err += text));
      child.on("close", (code) => resolve({ code, out, err }));
    });
  /** Waits, unless the process ends before. */
  const until = async (child: ChildProcess, isSo: () => boolean) => {
    while (!isSo() && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
  };

  test("makes a job once, tells what is missing, and ends with 2 where it was called wrongly", async () => {
    const results = join(folder, "once");
    const run = () => ended(start(["run", list, "--results", results], { PARALLEL_SEQ: "7" }));
    const made = await run();
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^λ = 0, 3 bits, range ×3: /) });
    const again = await run();
    expect(again).toMatchObject({ code: 0, out: `${made.out.trim()}; was there\n` });
    const collected = await ended(start(["collect", list, "--results", results]));
    expect(collected).toMatchObject({
      code: 1,
      err: expect.stringContaining("no result of 6 of 7 jobs: 0,1,2,3,4,5"),
    });
    expect(readFileSync(join(results, "README.md"), "utf8")).toContain("λ = 0, 3 bits, range ×3");
    expect((await ended(start(["run", list, "--index", "7", "--results", results]))).code).toBe(2);
  }, 120_000);

  test("makes the same row on two ranks as on one of two threads, and both find it there", async () => {
    const [line] = planLines(cat, source, "both-1");
    const own = join(folder, "ranks.jsonl");
    writeFileSync(own, `${line}\n`);
    const run = (results: string, args: string[], environment: Record<string, string> = {}) =>
      ended(start(["run", own, "--index", "0", "--results", join(folder, results), ...args], environment));
    const hosts = {
      BITDIET_HOSTS: "127.0.0.1,127.0.0.1",
      BITDIET_RANKS: "2",
      BITDIET_TOKEN: "0123456789abcdef",
      BITDIET_PORT: `${30_000 + Math.floor(10_000 * Math.random())}`,
    };
    const both = () =>
      Promise.all([0, 1].map((rank) => run("by-ranks", ["--ranks"], { ...hosts, BITDIET_RANK: `${rank}` })));
    for (const { code, err } of await both())
      expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
    expect((await run("by-threads", ["--workers", "2"])).code).toBe(0);
    const [ranks, threads] = ["by-ranks", "by-threads"].map((name) =>
      JSON.parse(readFileSync(join(folder, name, "cat.both-1.json"), "utf8")),
    );
    expect({ ...ranks, seconds: 0 }).toEqual({ ...threads, seconds: 0 });
    for (const { code, out } of await both())
      expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining("was there") });
  }, 240_000);

  test("asks for another try when it is told to end, and goes on where it was", async () => {
    const long = join(folder, "long.jsonl");
    const jobs = planLines(cat, { ...source, steps: 120 }, "plain-4-1");
    writeFileSync(long, jobs[0]);
    const [told, whole] = ["long-told", "long-whole"].map((name) => join(folder, name));
    const run = (results: string) => start(["run", long, "--index", "0", "--results", results]);
    const unfinished = join(told, "unfinished");
    const first = run(told);
    const end = ended(first);
    await until(
      first,
      () => existsSync(unfinished) && readdirSync(unfinished).some((name) => /^cat/.test(name)),
    );
    first.kill("SIGTERM");
    const { code, err } = await end;
    expect(err).toMatch(/stopped after step \d+ of 120, kept in /);
    expect(code).toBe(75);
    // And one that hears nothing.
    const second = run(told);
    const killed = ended(second);
    const [name] = readdirSync(unfinished);
    const before = readFileSync(join(unfinished, name));
    await until(second, () => !before.equals(readFileSync(join(unfinished, name))));
    second.kill("SIGKILL");
    expect((await killed).code).toBe(null);
    expect((await ended(run(told))).code).toBe(0);
    expect((await ended(run(whole))).code).toBe(0);
    const rowIn = (results: string) => {
      mkdirSync(results, { recursive: true });
      return { ...JSON.parse(readFileSync(join(results, "cat.plain-4-1.json"), "utf8")), seconds: 0 };
    };
    expect(rowIn(told)).toEqual(rowIn(whole));
    expect(readdirSync(unfinished)).toEqual([]);
  }, 240_000);
});
