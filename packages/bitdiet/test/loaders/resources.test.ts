/** Loading leaves nothing behind: descriptors, connections, Workers and what waits for them are as they were. */
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { buildSync } from "esbuild";
import { expect, test } from "vitest";
import { compressModel } from "../../src/compress.js";
import { encodeModel } from "../../src/file/encode.js";
import { memoryFiles } from "../../src/formats/files.js";
import { readOnnx } from "../../src/formats/onnx.js";
import { fetchBitdiet } from "../../src/loaders/fetch.js";
import { onnxFileFromBitdiet, onnxFromBitdiet } from "../../src/loaders/onnx.js";
import { openBitdiet } from "../../src/loaders/open.js";
import { openSource } from "../../src/loaders/source.js";
import { fromBitdiet } from "../../src/loaders/tfjs.js";
import { bitdietFetch } from "../../src/loaders/transformers.js";
import { onnxModel } from "../formats/small-models.js";

const text = (value: string) => new TextEncoder().encode(value);
const quantized = {
  shape: [40, 50],
  integers: Int32Array.from({ length: 2000 }, (_, i) => ((i * i) % 61) - 30),
  axis: 0,
  steps: Float32Array.of(0.5),
};
const file = encodeModel({
  metadata: [
    { name: "format", bytes: text("tfjs-graph") },
    {
      name: "model.json",
      bytes: text(
        JSON.stringify({
          modelTopology: { node: [] },
          weightsManifest: [{ paths: ["w"], weights: [{ name: "w", shape: [40, 50], dtype: "float32" }] }],
        }),
      ),
    },
  ],
  tensors: [{ name: "w", dtype: "float32", quantized }],
});
const onnx = (await compressModel(await readOnnx(memoryFiles(onnxModel()), "model.onnx"), { bits: 7 })).bytes;
const damaged = file.slice();
damaged[damaged.length - 3] ^= 1;

/** Workers of Node's that run. */
let running = 0;
const source = fileURLToPath(new URL("../../src/worker.ts", import.meta.url));
const bundled = buildSync({ entryPoints: [source], bundle: true, platform: "node", write: false });
function worker(): Worker {
  const made = new Worker(bundled.outputFiles[0].text, { eval: true });
  running++;
  return made.on("exit", () => running--);
}

/** What this process holds that it should not hold for ever. */
const held = () => ({
  descriptors: existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0,
  waiting: process.getActiveResourcesInfo().filter((name) => /MessagePort|FSReq|Timeout/.test(name)).length,
  workers: running,
});

/** Bytes in use, after garbage is collected: some of Node's own goes only when the event loop has turned after that. */
async function memory(): Promise<number> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let i = 0; i < 4; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test("200 loads of each kind leave descriptors, connections, timers and memory as they were", async () => {
  expect((await onnxFileFromBitdiet(onnx)).length).toBeGreaterThan(0);
  const folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
  const server = createServer((request, response) => {
    const bytes = { "/damaged": damaged, "/onnx": onnx }[request.url!] ?? file;
    response.writeHead(request.url === "/gone" ? 404 : 200, { "Content-Length": bytes.length }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const url = `http://localhost:${(server.address() as AddressInfo).port}`;
  const path = (name: string) => join(folder, name);
  await writeFile(path("whole"), file);
  await writeFile(path("damaged"), damaged);
  await writeFile(path("onnx"), onnx);
  await writeFile(path("cut"), file.subarray(0, file.length - 10));
  const kinds: ((place: (name: string) => string) => Promise<unknown>)[] = [
    (at) => fromBitdiet(at("whole")).load!(),
    (at) => fromBitdiet(at("damaged")).load!(),
    (at) => fromBitdiet(at("cut")).load!(),
    (at) => fromBitdiet(at("gone")).load!(),
    (at) => fromBitdiet(at("whole"), { maxBytes: 10 }).load!(),
    (at) =>
      fromBitdiet(at("whole"), { integrity: "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }).load!(),
    async (at) => (await openBitdiet(await openSource(at("whole")))).model.tensors[0].bytes(),
    async (at) => (await fetchBitdiet(at("whole"))).close(),
    async (at) => {
      for await (const _ of (await fetchBitdiet(at("whole"))).tensors) break;
    },
    (at) => onnxFromBitdiet(at("whole")),
    (at) => onnxFromBitdiet(at("onnx")),
    (at) => onnxFileFromBitdiet(at("onnx")),
    async (at) => {
      // Taken in part, and not at all.
      for (const part of [1, 0]) {
        const { getWeightStream } = await fromBitdiet(at("whole"), { streamWeights: true }).load!();
        const reader = getWeightStream!().getReader();
        if (part) await reader.read();
        await reader.cancel();
      }
    },
    async (at) => {
      const fetching = bitdietFetch({ "m/model.onnx": at("onnx") });
      await fetching("https://host/m/resolve/main/model.onnx", { headers: { Range: "bytes=0-0" } });
      const response = await fetching("https://host/m/resolve/main/model.onnx");
      await response.body!.cancel();
    },
    async (at) => {
      const abort = new AbortController();
      const loading = fetchBitdiet(at("whole"), { requestInit: { signal: abort.signal } });
      abort.abort();
      await (await loading).close();
    },
  ];
  const load = async (kind: (typeof kinds)[number], times: number) => {
    for (let i = 0; i < times; i++)
      for (const place of [path, (name: string) => `${url}/${name}`]) await kind(place).catch(() => {});
  };
  for (const kind of kinds) await load(kind, 20);
  const [before, bytes] = [held(), await memory()];
  for (const kind of kinds) await load(kind, 100);
  await expect
    .poll(() => held().descriptors, { timeout: 10_000 })
    .toBeLessThanOrEqual(before.descriptors + 3);
  await expect.poll(() => held().waiting, { timeout: 10_000 }).toBeLessThanOrEqual(before.waiting);
  const sockets = () => new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
  await expect.poll(sockets, { timeout: 10_000 }).toBeLessThanOrEqual(5);
  // A kind of which each of the 200 loads kept its file of 1.5 kB and its tensor of 8 kB would hold 2 MB more, a buffer of a request 13.
  expect((await memory()) - bytes).toBeLessThan(2e6);
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
}, 300_000);

test("200 loads with Workers, whole, damaged or abandoned, leave none of them", async () => {
  const kinds: (() => Promise<unknown>)[] = [
    () => fromBitdiet(file, { worker, workers: 2 }).load!(),
    () => fromBitdiet(damaged, { worker, workers: 2 }).load!(),
    async () => {
      for await (const _ of (await fetchBitdiet(file, { worker })).tensors) break;
    },
    async () => {
      const { getWeightStream } = await fromBitdiet(file, { worker, streamWeights: true }).load!();
      await getWeightStream!().cancel();
    },
    () => fromBitdiet(file, { worker: () => new Worker("process.exit(1)", { eval: true }) }).load!(),
  ];
  const load = async (times: number) => {
    for (let i = 0; i < times; i++) for (const kind of kinds) await kind().catch(() => {});
    await expect.poll(() => running, { timeout: 20_000 }).toBe(0);
  };
  await load(4);
  const [before, bytes] = [held(), await memory()];
  await load(40);
  const after = () => held();
  await expect.poll(() => after().descriptors, { timeout: 10_000 }).toBeLessThanOrEqual(before.descriptors);
  await expect.poll(() => after().waiting, { timeout: 10_000 }).toBeLessThanOrEqual(before.waiting);
  expect((await memory()) - bytes).toBeLessThan(8e6);
}, 300_000);
