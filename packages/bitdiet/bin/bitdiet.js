#!/usr/bin/env node
// The command's own file is there when npm links it, also in a clone where nothing is built yet.
import { existsSync } from "node:fs";

const main = new URL("../dist/cli/main.js", import.meta.url);
if (existsSync(main)) await import(main.href);
else {
  console.error("bitdiet: not built yet; run npm run build");
  process.exitCode = 2;
}
