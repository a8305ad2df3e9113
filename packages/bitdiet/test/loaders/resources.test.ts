/** Loading leaves nothing behind: descriptors, connections, Workers and what waits for them are as they were. */
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { encodeModel } from "../../src/file/encode.js";
import { fetchBitdiet } from "../../src/loaders/fetch.js";
import { openBitdiet } from "../../src/loaders/open.js";
import { openSource } from "../../src/loaders/source.js";
import { fromBitdiet } from "../../src/loaders/tfjs.js";

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
const damaged = file.slice();
damaged[damaged.length - 3] ^= 1;

/** What this process holds that it should not hold for ever. */
const held = () => ({
  descriptors: existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0,
  workers: process.getActiveResourcesInfo().filter((name) => /Worker|MessagePort|FSReq|Timeout/.test(name))
    .length,
});

test("200 loads, whole, damaged, abandoned or aborted, leave descriptors and connections as they were", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bitdiet-"));
  const server = createServer((request, response) => {
    const bytes = request.url === "/damaged" ? damaged : file;
    response.writeHead(request.url === "/gone" ? 404 : 200, { "Content-Length": bytes.length }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const url = `http://localhost:${(server.address() as AddressInfo).port}`;
  const path = (name: string) => join(folder, name);
  await writeFile(path("whole"), file);
  await writeFile(path("damaged"), damaged);
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
    async (at) => {
      const abort = new AbortController();
      const loading = fetchBitdiet(at("whole"), { requestInit: { signal: abort.signal } });
      abort.abort();
      await (await loading).close();
    },
  ];
  const load = async (times: number) => {
    for (let i = 0; i < times; i++)
      for (const kind of kinds)
        for (const place of [path, (name: string) => `${url}/${name}`]) await kind(place).catch(() => {});
  };
  await load(2);
  const before = held();
  await load(10);
  await expect
    .poll(() => held().descriptors, { timeout: 10_000 })
    .toBeLessThanOrEqual(before.descriptors + 3);
  await expect.poll(() => held().workers, { timeout: 10_000 }).toBeLessThanOrEqual(before.workers);
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});
