/**
 * How fast .bitdiet files decode, and in how much memory: by coder, on one thread and in two Workers, the latter with their start.
 * Memory is what a process grows by, the engine's own included: it says something of large models only.
 *
 * With `minGain` 1 all integers are coded by ans, with 0 each tensor by the smallest coder, cabac or the weight coder; by default by the
 * latter unless cabac saves more than 2 %.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import {
  compressModel,
  encodeModel,
  openBitdiet,
  openSource,
  type QuantizedTensor,
  readModel,
} from "bitdiet";
import { decodeModel, readHeader } from "bitdiet/decode";
import { folderFiles } from "bitdiet/node";
import { fromBitdiet } from "bitdiet/tfjs";
import { markdownTable, type Row } from "./report.js";
import { dataFolder, laplaceSource } from "./sources.js";
import { median } from "./timing.js";

const CODERS = { ans: 1, default: 0.02, smallest: 0 };
const worker = () => new Worker(new URL(import.meta.resolve("bitdiet/worker")));

export async function run({ quick }: { quick: boolean }): Promise<unknown> {
  const models: Record<string, QuantizedTensor[]> = {
    "Laplace, 3 bits": syntheticModel(quick ? 4 : 40),
    ...(await resnetModel()),
  };
  const rows: Row[] = [];
  const running = [worker(), worker()];
  for (const [model, tensors] of Object.entries(models)) {
    const files = Object.entries(CODERS).map(
      ([coder, minGain]) => [coder, fileOf(tensors, minGain)] as const,
    );
    const weights = tensors.reduce((sum, { integers }) => sum + integers.length, 0);
    const times = await inTurn(
      Object.fromEntries(
        files.flatMap(([coder, file]) => [
          [coder, () => decodeModel(file)],
          [`${coder}, 1 Worker`, () => decodeIn(running.slice(1), file)],
          [`${coder}, 2 Workers`, () => decodeIn(running, file)],
          [`${coder}, loaded`, async () => fromBitdiet(file).load?.()],
          [`${coder}, loaded in Workers`, async () => fromBitdiet(file, { worker, workers: 2 }).load?.()],
        ]),
      ),
      quick ? 2 : 7,
    );
    for (const [coder, file] of files) {
      const header = readHeader(file);
      const byCabac = header.tensors.reduce(
        (sum, { quantized, size }) => sum + (quantized?.coder === 0 ? size / 4 : 0),
        0,
      );
      rows.push({
        model,
        coder,
        "bits/weight": rounded((8 * file.length) / weights, 3),
        "% by cabac": Math.round((100 * byCabac) / weights),
        "M weights/s": rounded(weights / times[coder].ms / 1000, 1),
        "by CPU time": rounded(weights / times[coder].cpuMs / 1000, 1),
        // Two Workers that run already against one; then both started for this model against none.
        "2 : 1 Workers": rounded(times[`${coder}, 1 Worker`].ms / times[`${coder}, 2 Workers`].ms, 2),
        "2 : 0, started": rounded(times[`${coder}, loaded`].ms / times[`${coder}, loaded in Workers`].ms, 2),
        "memory / decoded": !existsSync("/proc/self/status")
          ? undefined
          : rounded(peakBytes(file) / (4 * weights), 2),
      });
    }
  }
  for (const one of running) await one.terminate();
  console.log(markdownTable(rows));
  return { command: "npm run bench -- file", seed: 1, rows };
}

/** All tensors of a file, each Worker every second one or all. */
async function decodeIn(workers: readonly Worker[], file: Uint8Array): Promise<void> {
  const { tensors } = readHeader(file);
  const answers = workers.map(async (one, index) => {
    const mine = tensors.filter((_, i) => i % workers.length === index);
    const done = new Promise<void>((resolve) => {
      let left = mine.length;
      const onAnswer = () => {
        if (--left > 0) return;
        one.off("message", onAnswer);
        resolve();
      };
      one.on("message", onAnswer);
    });
    for (const entry of mine) {
      const { start, length } = entry.part;
      one.postMessage({ entry, parts: { bytes: file.slice(start, start + length) }, limits: {} });
    }
    await done;
  });
  await Promise.all(answers);
}

const rounded = (value: number, digits: number) => Number(value.toFixed(digits));

/**
 * Medians over the rounds, the contenders one after another in each, of wall and of CPU time, which other programs on the machine
 * disturb less. The first round does not count.
 */
async function inTurn(contenders: Record<string, () => unknown>, rounds: number) {
  const names = Object.keys(contenders);
  const times = Object.fromEntries(
    names.map((name) => [name, { ms: [] as number[], cpuMs: [] as number[] }]),
  );
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const [start, startCpu] = [performance.now(), process.cpuUsage()];
      await contenders[name]();
      const [ms, cpu] = [performance.now() - start, process.cpuUsage(startCpu)];
      if (round === 0) continue;
      times[name].ms.push(ms);
      times[name].cpuMs.push((cpu.user + cpu.system) / 1000);
    }
  }
  const medians = names.map((name) => {
    const { ms, cpuMs } = times[name];
    return [name, { ms: median(ms), cpuMs: median(cpuMs) }];
  });
  return Object.fromEntries(medians) as Record<string, { ms: number; cpuMs: number }>;
}

/** Tensors of 512 x 512 levels of 3 bits each. */
function syntheticModel(count: number): QuantizedTensor[] {
  return Array.from({ length: count }, (_, seed) => {
    const { symbols } = laplaceSource(3, 512 * 512, seed + 1);
    const integers = Int32Array.from(symbols, (symbol) => (symbol % 2 ? -(symbol + 1) / 2 : symbol / 2));
    return { shape: [512, 512], integers, axis: 0, steps: Float32Array.of(0.125) };
  });
}

/** ResNet-56 as `bitdiet compress --bits 4` quantizes it. */
async function resnetModel(): Promise<Record<string, QuantizedTensor[]>> {
  const folder = dataFolder();
  if (folder === undefined) return {};
  const model = await readModel(folderFiles(join(folder, "models")), "resnet56-cifar10.safetensors");
  const { bytes } = await compressModel(model, { bits: 4 });
  const { header, quantized } = await openBitdiet(await openSource(bytes));
  const tensors = await Promise.all(header.tensors.map(quantized));
  return { "ResNet-56, 4 bits": tensors.filter((tensor) => tensor !== undefined) };
}

/** Such as fromBitdiet loads. */
function fileOf(tensors: readonly QuantizedTensor[], minGain: number): Uint8Array {
  const metadata = [
    { name: "format", bytes: new TextEncoder().encode("tfjs-graph") },
    {
      name: "model.json",
      bytes: new TextEncoder().encode('{"modelTopology":{"node":[]},"weightsManifest":[]}'),
    },
  ];
  const named = tensors.map((quantized, i) => ({ name: `w${i}`, dtype: "float32" as const, quantized }));
  return encodeModel({ metadata, tensors: named }, { minGain });
}

/** By how much a process grows that reads and decodes a file. */
function peakBytes(file: Uint8Array): number {
  const folder = mkdtempSync(join(tmpdir(), "bitdiet-bench-"));
  try {
    const path = join(folder, "model.bitdiet");
    writeFileSync(path, file);
    const program = `
      import { readFileSync } from "node:fs";
      import { decodeModel } from ${JSON.stringify(import.meta.resolve("bitdiet/decode"))};
      const before = process.memoryUsage.rss();
      const decoded = decodeModel(readFileSync(process.argv[1]));
      // Linux; resourceUsage().maxRSS would begin with what the parent takes.
      const [, most] = /VmHWM:\\s*(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"));
      console.log(1024 * most - before);
      if (decoded.tensors.length === 0) throw new Error("nothing decoded");`;
    return Number(
      execFileSync(process.execPath, ["--input-type=module", "-e", program, path], { encoding: "utf8" }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
