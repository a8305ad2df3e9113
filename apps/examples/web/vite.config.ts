// Builds the page as static files with relative addresses, for any folder of any web server, and lists them for the service
// worker that keeps them for use without a network.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { defineConfig, type Plugin } from "vite";

/** ONNX Runtime, many times as large as the rest: kept for use without a network once a model has needed it. */
const LATER = /\/(ort-|onnx-runtime-)/;

/** Writes service-worker.js beside the page, with the names of all files that were built and a hash of what is in them. */
function offline(): Plugin {
  return {
    name: "offline",
    apply: "build",
    applyToEnvironment: (environment) => environment.name === "client",
    writeBundle({ dir }) {
      if (dir === undefined) return;
      const files = readdirSync(dir, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== "service-worker.js")
        .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
        .sort();
      const hash = createHash("sha256");
      for (const file of files) hash.update(file).update(readFileSync(join(dir, file)));
      const names = ["./", ...files.map((file) => `./${file.split(sep).join("/")}`)];
      const source = readFileSync(join(import.meta.dirname, "service-worker.js"), "utf8")
        .replace('VERSION = ""', `VERSION = "bitdiet-${hash.digest("hex").slice(0, 16)}"`)
        .replace("FILES = []", `FILES = ${JSON.stringify(names.filter((name) => !LATER.test(name)))}`)
        .replace("LATER = []", `LATER = ${JSON.stringify(names.filter((name) => LATER.test(name)))}`);
      writeFileSync(join(dir, "service-worker.js"), source);
    },
  };
}

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  build: { outDir: "dist", emptyOutDir: true, target: "es2022", assetsInlineLimit: 0 },
  worker: { format: "es" },
  plugins: [offline()],
});
