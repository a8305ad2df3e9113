/**
 * The linear transforms: DCT of rows against a matrix product and SciPy, 8 × 8 blocks, and the eigensolver, in one
 * alternating run. SciPy comes from `python3`, or from the one PYTHON names; without it its columns stay empty.
 */
import { spawn } from "node:child_process";
import { cpus } from "node:os";
import { createInterface } from "node:readline";
import "@tensorflow/tfjs-backend-wasm";
import { dct, dct8x8, dctTransform, forward, idct, idct8x8, symmetricEigen } from "@bitdiet/dct-transform";
import * as training from "@bitdiet/dct-transform/training";
import { uniform as randomOf } from "@bitdiet/zoo/data/random";
import * as tf from "@tensorflow/tfjs-core";
import { alternate, type Timing } from "./timing.js";

/** Seeded uniform numbers in [−1, 1). */
function uniform(count: number, seed: number): Float32Array {
  const random = randomOf(seed);
  return Float32Array.from({ length: count }, () => 2 * random() - 1);
}

/** What a first implementation looks like: three loops, one sum. */
function naiveProduct(rows: Float32Array, basis: Float32Array, size: number): Float32Array {
  const output = new Float32Array(rows.length);
  for (let row = 0; row < rows.length; row += size) {
    for (let k = 0; k < size; k++) {
      let sum = 0;
      for (let j = 0; j < size; j++) sum += rows[row + j] * basis[k * size + j];
      output[row + k] = sum;
    }
  }
  return output;
}

const python = `
import sys
import numpy as np
from scipy import fft
data = {}
for line in sys.stdin:
    what, *numbers = line.split()
    size, count, repeats = map(int, numbers)
    key = (what, size)
    if key not in data:
        r = np.random.default_rng(1)
        if what == "eigh":
            a = r.uniform(-1, 1, (size, size))
            data[key] = a + a.T
        else:
            data[key] = r.uniform(-1, 1, (count, 8, 8) if what == "blocks" else (count, size)).astype(np.float32)
    x = data[key]
    for _ in range(repeats):
        if what == "dct": fft.dct(x, norm="ortho", axis=-1)
        elif what == "idct": fft.idct(x, norm="ortho", axis=-1)
        elif what == "blocks": fft.dctn(x, norm="ortho", axes=(1, 2))
        else: np.linalg.eigh(x)
    print("done", flush=True)
`;

/** A Python process that does one transform a line; undefined where there is no SciPy. */
async function scipy(): Promise<{ ask: (line: string) => Promise<void>; stop: () => void } | undefined> {
  const child = spawn(process.env.PYTHON ?? "python3", ["-c", python], {
    stdio: ["pipe", "pipe", "ignore"],
    env: { ...process.env, OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1", MKL_NUM_THREADS: "1" },
  });
  let waiting: ((alive: boolean) => void) | undefined;
  createInterface({ input: child.stdout }).on("line", () => waiting?.(true));
  for (const event of ["error", "close"]) child.on(event, () => waiting?.(false));
  child.stdin.on("error", () => waiting?.(false));
  const ask = (line: string): Promise<boolean> =>
    new Promise((resolve) => {
      waiting = resolve;
      child.stdin.write(`${line}\n`);
    });
  if (!(await ask("dct 8 1 1"))) return undefined;
  return {
    ask: async (line) => {
      if (!(await ask(line))) throw new Error(`The Python process ended at "${line}"`);
    },
    stop: () => child.stdin.end(),
  };
}

/** Values a run of a quadratic contender works on: a whole number of rows, about 4 M multiplications. */
function fewRows(size: number): number {
  return size * Math.max(8, Math.floor(2 ** 22 / size / size));
}

type Peer = Awaited<ReturnType<typeof scipy>>;

/** A question to the other process costs about as much as one transform, so that one asks for four. */
const REPEATS = 4;
/** Values a run works on. */
const TOTAL = 2 ** 18;

/** Million values a second, of the best turn. */
function rate(times: readonly Timing[], name: string, values: number): number | undefined {
  const timing = times.find((entry) => entry.name === name);
  return timing && values / timing.minMs / 1000;
}

const printed = (value: number | undefined): string =>
  value === undefined ? "" : value.toFixed(value < 10 ? 1 : 0);

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  // Many short turns, of which the best counts: one that another process interrupts does no harm.
  const rounds = quick ? 9 : 100;
  await tf.setBackend("wasm");
  const peer = await scipy();
  if (!peer) console.log("Without SciPy (set PYTHON to an interpreter that has it): its columns stay empty.");
  const rows = [];
  for (const size of [64, 96, 256, 384, 512, 2048]) rows.push(await dctRates(size, rounds, peer));
  printDct(rows, rounds);

  const blocks = await blockRates(rounds, peer);
  console.log("8 × 8 blocks, million values a second");
  console.table(Object.fromEntries(Object.entries(blocks).map(([name, value]) => [name, printed(value)])));

  const eigen = [];
  for (const size of quick ? [64, 256] : [64, 256, 512, 1024])
    eigen.push(await eigenTimes(size, rounds, peer));
  console.log("Eigenvalues and eigenvectors of a symmetric matrix, ms (best)");
  console.table(eigen);
  peer?.stop();
  return { rows, blocks, eigen };
}

async function dctRates(size: number, rounds: number, peer: Peer) {
  const x = uniform(TOTAL, 1);
  const transform = dctTransform(size);
  const few = x.subarray(0, fewRows(size));
  const count = Math.floor(TOTAL / size);
  const all = x.subarray(0, count * size);
  const tensor = tf.tensor2d(few, [few.length / size, size]);
  const times = await alternate(
    {
      naive: () => naiveProduct(few, transform.basis, size),
      matrix: () => forward(transform, few),
      tensor: () => tf.tidy(() => training.forward(transform, tensor).dataSync()),
      dct: () => dct(all, size),
      idct: () => idct(all, size),
      ...(peer && {
        scipy: () => peer.ask(`dct ${size} ${count} ${REPEATS}`),
        scipyInverse: () => peer.ask(`idct ${size} ${count} ${REPEATS}`),
      }),
    },
    { rounds, minMs: 0 },
  );
  tensor.dispose();
  return {
    size,
    dct: rate(times, "dct", all.length),
    idct: rate(times, "idct", all.length),
    naive: rate(times, "naive", few.length),
    matrix: rate(times, "matrix", few.length),
    tfjsWasm: rate(times, "tensor", few.length),
    scipy: rate(times, "scipy", REPEATS * all.length),
    scipyInverse: rate(times, "scipyInverse", REPEATS * all.length),
  };
}

function printDct(rows: readonly Awaited<ReturnType<typeof dctRates>>[], rounds: number): void {
  console.log(
    `DCT of float32 rows, million values a second (best of ${rounds} alternating rounds, ${cpus()[0]?.model}, Node ${process.version})`,
  );
  console.table(
    Object.fromEntries(
      rows.map((row) => [
        row.size,
        {
          dct: printed(row.dct),
          idct: printed(row.idct),
          "forward (matrix)": printed(row.matrix),
          "three loops": printed(row.naive),
          "tfjs-wasm matMul": printed(row.tfjsWasm),
          "SciPy dct": printed(row.scipy),
          "dct / three loops": printed(row.dct! / row.naive!),
          "dct / SciPy": row.scipy ? (row.dct! / row.scipy).toFixed(2) : "",
        },
      ]),
    ),
  );
}

async function blockRates(rounds: number, peer: Peer): Promise<Record<string, number | undefined>> {
  const x = uniform(TOTAL, 1);
  const times = await alternate(
    {
      dct8x8: () => dct8x8(x),
      idct8x8: () => idct8x8(x),
      ...(peer && { scipy: () => peer.ask(`blocks 8 ${TOTAL / 64} ${REPEATS}`) }),
    },
    { rounds, minMs: 0 },
  );
  return Object.fromEntries(
    times.map(({ name }) => [name, rate(times, name, name === "scipy" ? REPEATS * TOTAL : TOTAL)]),
  );
}

async function eigenTimes(size: number, rounds: number, peer: Peer) {
  const values = uniform(size * size, size);
  const matrix = Float64Array.from(
    values,
    (value, at) => value + values[(at % size) * size + Math.floor(at / size)],
  );
  const times = await alternate(
    {
      symmetricEigen: () => symmetricEigen(matrix, size),
      ...(peer && { numpy: () => peer.ask(`eigh ${size} 1 1`) }),
    },
    { rounds: Math.max(2, Math.floor(rounds / (size / 32))), minMs: 0 },
  );
  return { size, ...Object.fromEntries(times.map(({ name, minMs }) => [name, minMs])) };
}
