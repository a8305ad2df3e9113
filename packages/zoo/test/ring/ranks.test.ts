// Training over several processes, as mpirun starts them, on two hosts that know each other by a cable alone, and when one of
// them is killed. What must agree is every bit of every parameter after 50 steps of a ResNet-8.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePorts } from "./free-ports.js";

const program = join(import.meta.dirname, "train-ranks.ts");
const folder = mkdtempSync(join(tmpdir(), "bitdiet-ranks-"));
const command = [process.execPath, "--import", "tsx", program];
const BITDIET_TOKEN = "0123456789abcdef0123456789abcdef";
const running = new Set<ChildProcess>();
const whyNot = new Map<string, string>();

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

function start([file, ...args]: string[], environment: Record<string, string> = {}) {
  const env = { ...process.env, BITDIET_TOKEN: undefined, ...environment };
  const child = spawn(file, args, { env, cwd: import.meta.dirname });
  running.add(child);
  const ended = new Promise<Ended>((resolve) => {
    let [out, err] = ["", ""];
    child.stdout.on("data", (text) => (out += text));
    child.stderr.on("data", (text) => (err += text));
    child.on("error", ({ message }) => resolve({ code: null, out, err: message }));
    child.on("close", (code) => {
      running.delete(child);
      resolve({ code, out, err });
    });
  });
  return { child, ended };
}

/** Ranks on this machine, by plain variables. */
async function startRanks(ranks: number, checkpoint: string) {
  const BITDIET_PORT = `${await freePorts(ranks)}`;
  const BITDIET_HOSTS = new Array(ranks).fill("127.0.0.1").join();
  const plain = { BITDIET_TOKEN, BITDIET_PORT, BITDIET_HOSTS, BITDIET_RANKS: `${ranks}` };
  return Array.from({ length: ranks }, (_, rank) =>
    start([...command, checkpoint], { ...plain, BITDIET_RANK: `${rank}` }),
  );
}

/** What ranks say of their parameters and losses, without saying which they are. */
const hashes = (out: string) =>
  out.split("\n").flatMap((line) => /^rank \d+ of \d+ (.*)$/.exec(line)?.[1] ?? []);

let alone: string;
beforeAll(async () => {
  const { out, err } = await start(command).ended;
  const [hash] = hashes(out);
  if (!hash) throw new Error(err);
  alone = hash;
}, 120_000);
afterAll(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
  for (const [engine, reason] of whyNot) console.warn(`${engine}: skipped, ${reason}`);
  if (process.env["BITDIET_ENGINES"] && whyNot.size === 2)
    throw new Error("neither mpirun nor network namespaces");
});

describe("mpirun", () => {
  test("-np 4 ends with the parameters and losses of one rank, bit for bit", async ({ skip }) => {
    const args = [
      "--allow-run-as-root",
      "--oversubscribe",
      "-np",
      "4",
      "-x",
      "BITDIET_TOKEN",
      "-x",
      "BITDIET_PORT",
    ];
    const BITDIET_PORT = `${await freePorts(4)}`;
    const { code, out, err } = await start(["mpirun", ...args, ...command], { BITDIET_TOKEN, BITDIET_PORT })
      .ended;
    if (/ENOENT/.test(err)) {
      whyNot.set("mpirun", err);
      return skip(err);
    }
    expect({ code, hashes: hashes(out) }, err).toEqual({ code: 0, hashes: [alone, alone, alone, alone] });
  }, 240_000);
});

describe("two network namespaces", () => {
  const ip = (...args: string[]) => execFileSync("ip", args, { stdio: ["ignore", "pipe", "pipe"] });
  const [a, b] = ["a", "b"].map((side) => `bitdiet-${process.pid}-${side}`);
  afterAll(() => {
    for (const space of [a, b]) {
      try {
        ip("netns", "del", space);
      } catch {
        // It was not there.
      }
    }
  });

  test("as two hosts end with the parameters and losses of one rank, bit for bit", async ({ skip }) => {
    try {
      for (const space of [a, b]) ip("netns", "add", space);
      ip("-n", a, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", b);
      for (const [i, space] of [a, b].entries()) {
        ip("-n", space, "addr", "add", `10.77.0.${i + 1}/24`, "dev", "cable");
        ip("-n", space, "link", "set", "cable", "up");
      }
    } catch (error) {
      const reason = (error as Error).message.split("\n")[0];
      whyNot.set("network namespaces", reason);
      return skip(reason);
    }
    const hosts = { BITDIET_TOKEN, BITDIET_HOSTS: "10.77.0.1,10.77.0.2", BITDIET_RANKS: "2" };
    const ranks = [a, b].map((space, rank) =>
      start(["ip", "netns", "exec", space, ...command], { ...hosts, BITDIET_RANK: `${rank}` }),
    );
    const ends = await Promise.all(ranks.map(({ ended }) => ended));
    const said = ends.map(({ code, out, err }) => (code === 0 ? hashes(out)[0] : err));
    expect(said).toEqual([alone, alone]);
  }, 240_000);
});

describe("ranks of which one", () => {
  const until = async (isSo: () => boolean, child: ChildProcess) => {
    while (!isSo() && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
  };

  test("is killed all end within 10 s, ask for another try, and go on to the same parameters", async () => {
    const checkpoint = join(folder, "killed.safetensors");
    const ranks = await startRanks(3, checkpoint);
    await until(() => existsSync(checkpoint), ranks[0].child);
    const killed = performance.now();
    ranks[1].child.kill("SIGKILL");
    const ends = await Promise.all(ranks.map(({ ended }) => ended));
    expect(performance.now() - killed).toBeLessThan(10_000);
    for (const rank of [0, 2]) {
      expect(ends[rank].code).toBe(75);
      const line = `^train-ranks: rank ${rank}: rank \\d at 127.0.0.1:\\d+ was lost: .*; start all ranks again, they go on$`;
      expect(ends[rank].err).toMatch(new RegExp(line, "m"));
      expect(ends[rank].err).toContain("rank 1 at 127.0.0.1:");
    }
    const again = await Promise.all((await startRanks(2, checkpoint)).map(({ ended }) => ended));
    const parameters = (hash: string) => hash.split(" ")[0];
    expect(again.map(({ out }) => parameters(hashes(out)[0]))).toEqual([
      parameters(alone),
      parameters(alone),
    ]);
  }, 240_000);

  test("is told to end all end after the same step, and go on to the same parameters", async () => {
    const checkpoint = join(folder, "told.safetensors");
    const ranks = await startRanks(2, checkpoint);
    await until(() => existsSync(checkpoint), ranks[0].child);
    ranks[1].child.kill("SIGTERM");
    const ends = await Promise.all(ranks.map(({ ended }) => ended));
    const steps = ends.map(({ err }) => /stopped after step (\d+) of 50/.exec(err)?.[1]);
    expect(ends.map(({ code }) => code)).toEqual([75, 75]);
    expect(Number(steps[0])).toBeGreaterThan(0);
    expect(steps[1]).toBe(steps[0]);
    const { out } = await start([...command, checkpoint]).ended;
    expect(hashes(out)[0].split(" ")[0]).toBe(alone.split(" ")[0]);
  }, 240_000);
});
