// Gives CommonJS consumers their own declarations: dist/x.d.ts -> dist/x.d.cts, with "./y.js" rewritten to "./y.cjs".
// Run in a package's folder, after tsc has written its .d.ts files.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

for (const name of readdirSync("dist", { recursive: true })) {
  if (!name.endsWith(".d.ts")) continue;
  const path = join("dist", name);
  const text = readFileSync(path, "utf8").replaceAll(/(from\s+"|import\(")(\.[^"]*)\.js"/g, '$1$2.cjs"');
  writeFileSync(path.replace(/\.d\.ts$/, ".d.cts"), text);
}
