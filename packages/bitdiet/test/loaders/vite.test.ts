import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bitdiet } from "../../src/loaders/vite.js";

const model = Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) >> 3);
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "bitdiet-vite-"));
  await writeFile(join(root, "model.bitdiet"), model);
  await writeFile(join(root, "index.html"), '<script type="module" src="./main.js"></script>');
  await writeFile(
    join(root, "main.js"),
    'import model from "./model.bitdiet"; globalThis.found = [model.constructor.name, model.length, model[4999]];',
  );
});
afterAll(() => rm(root, { recursive: true }));

test("a built page fetches the file as it is and gives its bytes", async () => {
  const { build } = await import("vite");
  await build({ root, base: "./", logLevel: "silent", plugins: [bitdiet()], build: { outDir: "out" } });
  const assets = await readdir(join(root, "out/assets"));
  const asset = assets.find((name) => name.endsWith(".bitdiet"))!;
  const script = assets.find((name) => name.endsWith(".js"))!;
  expect(Buffer.compare(await readFile(join(root, "out/assets", asset)), model)).toBe(0);
  const code = await readFile(join(root, "out/assets", script), "utf8");
  expect(code.length).toBeLessThan(2500);
  // The built script itself, its fetch answered from the folder.
  const runner = `
    import { readFile } from "node:fs/promises";
    globalThis.document = { baseURI: "file:///", querySelectorAll: () => [], getElementsByTagName: () => [], createElement: () => ({ relList: { supports: () => true } }) };
    globalThis.fetch = async (url) => new Response(await readFile(new URL(url)));
    await import(${JSON.stringify(join(root, "out/assets", script))});
    console.log(JSON.stringify(globalThis.found));`;
  await writeFile(join(root, "package.json"), '{"type":"module"}');
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", runner]);
  expect(JSON.parse(stdout)).toEqual(["Uint8Array", 5000, model[4999]]);
});

test("a development server serves the file from where it lies", async () => {
  const { createServer: createVite } = await import("vite");
  const vite = await createVite({
    root,
    logLevel: "silent",
    plugins: [bitdiet()],
    server: { middlewareMode: true, ws: false, watch: null },
    optimizeDeps: { noDiscovery: true },
    appType: "custom",
  });
  const server = createServer(vite.middlewares);
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`;
  try {
    const code = await (await fetch(`${origin}/model.bitdiet?import`)).text();
    const url = /fetch\("([^"]+)"\)/.exec(code)![1];
    const bytes = new Uint8Array(await (await fetch(origin + url)).arrayBuffer());
    expect(Buffer.compare(bytes, model)).toBe(0);
  } finally {
    server.close();
    await vite.close();
  }
});
