// `npm run start:federated`: ten processes train one network on digits of their own, and send what has changed each round: accuracy, and
// bytes that go up, of float32, of 8 bits and of changes with error feedback.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { loadDigits } from "@bitdiet/zoo/data/mnist";
import { digitCnn, initialParameters } from "@bitdiet/zoo/nets/digit-cnn";
import { textTable } from "@bitdiet/zoo/report/text-table";
import { exitWith, numberFlag, parseFlags } from "@bitdiet/zoo/runner/command-line";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import type { Change } from "bitdiet";
import cac from "cac";
import { accuracy } from "../digits/float.js";
import type { Answer, Round, Start } from "./client.js";
import { type Way, ways } from "./ways.js";

interface Options {
  clients: number;
  rounds: number;
  steps: number;
  seed: number;
  json: boolean;
}

const DEFAULTS: Options = { clients: 10, rounds: 20, steps: 12, seed: 1, json: false };

interface Result {
  way: string;
  /** Of all test digits, after the last round; 0 .. 1. */
  accuracy: number;
  /** That all clients have sent in all rounds. */
  bytesUp: number;
}

function parseOptions(argv: string[]): Options | undefined {
  const cli = cac("npm run start:federated --");
  cli
    .command("", "Ten processes train one network on digits of their own, and send what has changed")
    .option("--clients <n>", `Processes (default ${DEFAULTS.clients})`)
    .option("--rounds <n>", `Rounds (default ${DEFAULTS.rounds})`)
    .option(
      "--steps <n>",
      `Batches of 64 digits that a client trains on in a round (default ${DEFAULTS.steps})`,
    )
    .option("--seed <n>", `Seed of weights and batches (default ${DEFAULTS.seed})`)
    .option("--json", "Print the results as JSON")
    .action(() => {});
  const parsed = parseFlags(cli, argv);
  if (parsed === undefined) return undefined;
  const { flags } = parsed;
  const whole = (flag: "clients" | "rounds" | "steps" | "seed", least: number, most: number) =>
    numberFlag(flags, flag, { fallback: DEFAULTS[flag], least, most });
  return {
    clients: whole("clients", 1, 100),
    rounds: whole("rounds", 1, 1000),
    steps: whole("steps", 1, 1000),
    seed: whole("seed", 0, 2 ** 31 - 1),
    json: flags["json"] === true,
  };
}

async function run(options: Options): Promise<void> {
  await useBackend("wasm");
  const results: Result[] = [];
  for (const way of ways) results.push(await federated(way, options));
  console.log(options.json ? JSON.stringify({ ...options, results }) : described(results, options));
}

/** Clients take their turns, so that the result is the same on any machine. */
async function federated(way: Way, { clients, rounds, steps, seed }: Options): Promise<Result> {
  const { test } = loadDigits();
  const tensors = initialTensors(seed);
  const processes = Array.from({ length: clients }, (_, client) =>
    started({ client, clients, way: way.name, steps, seed }),
  );
  let bytesUp = 0;
  try {
    for (let round = 0; round < rounds; round++) {
      const sums = tensors.map(({ values }) => new Float32Array(values.length));
      for (const process of processes) {
        const bytes = await answered(process, { round, tensors });
        bytesUp += bytes.length;
        for (const [k, change] of (await way.receive(bytes, tensors)).entries())
          for (let i = 0; i < change.length; i++) sums[k][i] += change[i];
      }
      for (const [k, { values }] of tensors.entries())
        for (let i = 0; i < values.length; i++) values[i] += sums[k][i] / clients;
      console.error(
        `${way.name}, round ${round + 1}: ${percent(accuracyOf(tensors, test))} right, ${bytesUp} B up`,
      );
    }
  } finally {
    for (const process of processes) process.disconnect();
  }
  return { way: way.name, accuracy: accuracyOf(tensors, test), bytesUp };
}

/** Kernels, biases and the last layer. */
function initialTensors(seed: number): Change[] {
  const parameters = initialParameters(seed);
  const used = Object.entries(parameters).filter(([name]) => !/\.(gamma|beta)$/.test(name));
  const tensors = used.map(([name, variable]) => ({
    name,
    shape: variable.shape,
    values: variable.dataSync<"float32">().slice() as Float32Array,
  }));
  for (const { name, shape } of biasesOf(tensors))
    tensors.push({ name, shape, values: new Float32Array(shape[0]) });
  tf.dispose(parameters);
  return tensors;
}

/** Biases of convolutions, which have batch norms where a network starts otherwise. */
const biasesOf = (tensors: readonly Change[]) =>
  tensors
    .filter(({ name }) => name.startsWith("conv") && name.endsWith(".weight"))
    .map(({ name, shape }) => ({ name: name.replace("weight", "bias"), shape: [shape[3]] }));

function accuracyOf(tensors: readonly Change[], test: ReturnType<typeof loadDigits>["test"]): number {
  const parameters = Object.fromEntries(
    tensors.map(({ name, shape, values }) => [name, tf.tensor(values, [...shape])]),
  );
  const right = accuracy(test, (x) => digitCnn(parameters, x));
  tf.dispose(parameters);
  return right;
}

function started(start: Start): ChildProcess {
  const module = fileURLToPath(new URL("client.ts", import.meta.url));
  const child = fork(module, {
    execArgv: ["--import", "tsx"],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  child.send(start as never);
  return child;
}

async function answered(child: ChildProcess, round: Round): Promise<Uint8Array> {
  const ended = new AbortController();
  const answer = once(child, "message", { signal: ended.signal });
  const exit = once(child, "exit", { signal: ended.signal }).then(([code]) => {
    throw new Error(`a client ended with exit code ${code}`);
  });
  child.send(round as never);
  try {
    const [message] = (await Promise.race([answer, exit])) as [Answer];
    if ("error" in message) throw new Error(`a client failed: ${message.error}`);
    return message.bytes;
  } finally {
    ended.abort();
    for (const each of [answer, exit]) each.catch(() => {});
  }
}

const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

function described(results: readonly Result[], { clients, rounds }: Options): string {
  const [float] = results;
  const rows = results.map(({ way, accuracy, bytesUp }) => [
    way,
    percent(accuracy),
    String(bytesUp),
    `× ${(float.bytesUp / bytesUp).toFixed(1)}`,
  ]);
  return `${clients} clients, ${rounds} rounds\n${textTable(["sent as", "right", "bytes up", "fewer than float32"], rows)}`;
}

await exitWith("npm run start:federated", async () => {
  const options = parseOptions(process.argv.slice(2));
  if (options) await run(options);
});
