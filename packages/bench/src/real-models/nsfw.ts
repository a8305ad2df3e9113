/**
 * The models of nsfwjs, which its package holds as scripts: `model` is a `model.json` as an object, a shard is its base64.
 *
 *     const path = nsfwModel("mobilenet_v2"); // …/model.json, with its shards beside it
 */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { packageFolder } from "./packages.js";

const require = createRequire(import.meta.url);

export function nsfwModel(name: "mobilenet_v2" | "inception_v3"): string {
  const folder = join(packageFolder("nsfwjs"), "dist/models", name);
  const unpacked = join(folder, "unpacked");
  mkdirSync(unpacked, { recursive: true });
  for (const file of readdirSync(folder).filter((file) => file.endsWith(".min.js"))) {
    const value = require(join(folder, file));
    const plain = file.slice(0, -".min.js".length);
    if (plain === "model") writeFileSync(join(unpacked, "model.json"), JSON.stringify(value));
    else writeFileSync(join(unpacked, plain), Buffer.from(value, "base64"));
  }
  return join(unpacked, "model.json");
}
