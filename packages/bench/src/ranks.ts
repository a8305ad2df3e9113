/**
 * Data-parallel training over ranks: seconds of a step of ResNet-20 on one process and on two of this machine, in turn, and, by
 * simulation, on up to 64 machines of a stated network. Measured are a share's gradients, what a step takes beside them, and bytes.
 * Two trainings at a time that know nothing of each other say how much more than one the machine itself can do.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { textTable } from "@bitdiet/zoo/report/text-table";
import { BATCH, SHARES } from "./ranks-program.js";
import { type Network, sumSeconds } from "./ring-simulation.js";

/** Of a step, as rank 0 sees it. */
interface Timing {
  step: number;
  gradients: number;
  values: number;
}

interface Round {
  one: Timing;
  two: Timing;
  /** Two at a time, of one rank each. */
  apart: [Timing, Timing];
}

const ROUNDS = 5;
const NETWORKS: [name: string, network: Network][] = [
  ["1 Gbit/s, 0.1 ms", { bitsPerSecond: 1e9, latency: 1e-4 }],
  ["10 Gbit/s, 0.05 ms", { bitsPerSecond: 1e10, latency: 5e-5 }],
];
/** Shares of a simulated batch, as many images each as measured ones have. */
const MANY = 64;

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const [rounds, steps] = quick ? [1, 5] : [ROUNDS, 40];
  const timings: Round[] = [];
  for (let round = 0; round < rounds; round++) {
    const [one, two] = [await trained(1, steps), await trained(2, steps)];
    timings.push({ one, two, apart: await Promise.all([trained(1, steps), trained(1, steps)]) });
  }
  const middle = (of: (round: Round) => number) => timings.map(of).sort((a, b) => a - b)[rounds >> 1];
  const apartOf = ({ apart: [a, b] }: Round) => (a.step + b.step) / 2;
  const [one, two, apart] = [middle(({ one }) => one.step), middle(({ two }) => two.step), middle(apartOf)];
  const ratio = middle(({ one, two }) => one.step / two.step);
  const limit = middle((round) => (2 * round.one.step) / apartOf(round));
  const reached = middle((round) => apartOf(round) / (2 * round.two.step));
  console.log(
    `ResNet-20, ${BATCH} images a step in ${SHARES} shares, median of ${rounds} × ${steps} steps, in turn`,
  );
  console.log(
    `1 rank ${one.toFixed(3)} s a step, 2 ranks ${two.toFixed(3)} s: ${ratio.toFixed(2)} times as fast`,
  );
  console.log(
    `2 trainings apart ${apart.toFixed(3)} s a step each: ${limit.toFixed(2)} times as much as one; ` +
      `ranks reach ${(100 * reached).toFixed(0)} % of that`,
  );
  const share = middle(({ one }) => one.gradients) / SHARES;
  const rest = middle(({ one }) => one.step - one.gradients);
  const bytes = 4 * timings[0].one.values;
  const simulated = simulate({ share, rest, bytes });
  console.log(
    `\nSimulated: ${MANY} shares of ${BATCH / SHARES} images; measured ${share.toFixed(4)} s a share, ` +
      `${rest.toFixed(4)} s beside gradients, ${bytes.toLocaleString("en")} bytes`,
  );
  console.log(
    textTable(["ranks", ...NETWORKS.flatMap(([name]) => [`s a step, ${name}`, "times as fast"])], simulated),
  );
  return { timings, one, two, apart, ratio, limit, reached, share, rest, bytes, simulated };
}

function simulate({ share, rest, bytes }: { share: number; rest: number; bytes: number }): string[][] {
  const seconds = (ranks: number, network: Network) =>
    Math.ceil(MANY / ranks) * share + rest + sumSeconds(ranks, bytes, network);
  return [1, 2, 4, 8, 16, 32, 64].map((ranks) => [
    `${ranks}`,
    ...NETWORKS.flatMap(([, network]) => {
      const now = seconds(ranks, network);
      return [now.toFixed(3), (seconds(1, network) / now).toFixed(1)];
    }),
  ]);
}

/** Trains with so many ranks. @returns what rank 0 measured */
async function trained(ranks: number, steps: number): Promise<Timing> {
  const plain = {
    BITDIET_RANKS: `${ranks}`,
    BITDIET_HOSTS: new Array(ranks).fill("127.0.0.1").join(),
    BITDIET_PORT: `${20_000 + Math.floor(10_000 * Math.random())}`,
    BITDIET_TOKEN: randomBytes(16).toString("hex"),
  };
  const outputs = Array.from({ length: ranks }, (_, rank) =>
    output({ ...plain, BITDIET_RANK: `${rank}` }, steps),
  );
  return JSON.parse((await Promise.all(outputs))[0]) as Timing;
}

const program = new URL("./ranks-program.ts", import.meta.url).pathname;
const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;

function output(environment: Record<string, string>, steps: number): Promise<string> {
  const child = spawn(process.execPath, ["--import", tsx, program, `${steps}`], {
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return new Promise((resolve, reject) => {
    let [out, err] = ["", ""];
    child.stdout.on("data", (text) => (out += text));
    child.stderr.on("data", (text) => (err += text));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(out) : reject(new Error(err))));
  });
}
