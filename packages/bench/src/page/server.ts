/**
 * What a web server does: pages with their scripts, runtimes and models, everything that brotli makes smaller as brotli-11.
 *
 *     const server = await serve(variants);
 *     server.entry("uint8 + brotli"); // "/models/1/model.json"
 */

import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname, extname, join } from "node:path";
import { build } from "esbuild";
import { brotliBytes } from "./brotli.js";
import type { Variant } from "./variants.js";

export interface Served {
  origin: string;
  /** The path that a page loads. */
  entry(variant: string): string;
  /** Bytes of a variant's files on the wire. */
  bytesOf(variant: string): number;
  close(): Promise<void>;
}

interface Answer {
  body: Uint8Array;
  isBrotli: boolean;
}

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

export async function serve(variants: Record<string, Variant>): Promise<Served> {
  const answers = new Map<string, Answer>();
  const put = (path: string, bytes: Uint8Array, isPlain = true) => {
    const packed = isPlain ? brotliBytes(bytes) : bytes;
    const isBrotli = packed.length < bytes.length;
    answers.set(path, { body: isBrotli ? packed : bytes, isBrotli });
  };
  const folders = new Map(Object.keys(variants).map((name, i) => [name, `/models/${i}`]));
  for (const [name, { files, isPlain }] of Object.entries(variants))
    for (const [file, bytes] of Object.entries(files)) put(`${folders.get(name)}/${file}`, bytes, isPlain);
  for (const [path, bytes] of [...(await scripts()), ...runtimes()]) put(path, bytes);
  const server = createServer((request, response) => answer(answers, request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    entry: (variant) => `${folders.get(variant)}/${variants[variant].entry}`,
    bytesOf: (variant) =>
      Object.keys(variants[variant].files).reduce(
        (sum, file) => sum + answers.get(`${folders.get(variant)}/${file}`)!.body.length,
        0,
      ),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function answer(
  answers: ReadonlyMap<string, Answer>,
  { url }: IncomingMessage,
  response: ServerResponse,
): void {
  const { pathname } = new URL(url ?? "/", "http://localhost");
  const found = answers.get(pathname);
  if (!found) return void response.writeHead(404).end();
  response.writeHead(200, {
    "Content-Type": TYPES[extname(pathname)] ?? "application/octet-stream",
    "Content-Length": found.body.length,
    ...(found.isBrotli && { "Content-Encoding": "br" }),
  });
  response.end(found.body);
}

/** Pages and their scripts, each with all that it imports, as a bundler for production writes them. */
async function scripts(): Promise<[string, Uint8Array][]> {
  const pages = ["tfjs-plain", "tfjs-ours", "onnx-plain", "onnx-ours", "load-plain", "load-ours"];
  const { outputFiles } = await build({
    entryPoints: {
      ...Object.fromEntries(pages.map((page) => [page, join(import.meta.dirname, `${page}.ts`)])),
      worker: require.resolve("bitdiet/worker"),
    },
    bundle: true,
    // Coders are modules of their own, which pages fetch when a file names them.
    splitting: true,
    minify: true,
    format: "esm",
    write: false,
    outdir: "/",
    external: ["node:*"],
    logLevel: "error",
  });
  const html = (page: string) =>
    `<!doctype html><meta charset="utf-8"><title>${page}</title><script type="module" src="/${page}.js"></script>`;
  return [
    ...outputFiles.map(({ path, contents }): [string, Uint8Array] => [path, contents]),
    ...pages.map((page): [string, Uint8Array] => [`/${page}.html`, new TextEncoder().encode(html(page))]),
  ];
}

const require = createRequire(import.meta.url);

/** WebAssembly of both runtimes. */
function runtimes(): [string, Uint8Array][] {
  const tfjs = dirname(require.resolve("@tensorflow/tfjs-backend-wasm"));
  const ort = dirname(require.resolve("onnxruntime-web"));
  return [
    ["/tfjs/tfjs-backend-wasm-simd.wasm", readFileSync(join(tfjs, "tfjs-backend-wasm-simd.wasm"))],
    ["/ort/ort-wasm-simd-threaded.wasm", readFileSync(join(ort, "ort-wasm-simd-threaded.wasm"))],
  ];
}
