// Completes the declarations that tsc wrote. Run in a package's folder.
// - Those of the private package `stream`, which is bundled in, are put beside them: "@bitdiet/stream" -> "./bundled/index.js".
// - CommonJS consumers get their own: dist/x.d.ts -> dist/x.d.cts, with "./y.js" rewritten to "./y.cjs".
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const BUNDLED = '"@bitdiet/stream"';
const declarations = () =>
  readdirSync("dist", { recursive: true })
    .filter((name) => name.endsWith(".d.ts"))
    .map((name) => join("dist", name));

const users = declarations().filter((path) => readFileSync(path, "utf8").includes(BUNDLED));
if (users.length > 0) cpSync("../stream/dist", "dist/bundled", { recursive: true });
for (const path of users) {
  const to = relative(dirname(path), "dist/bundled/index.js").replaceAll("\\", "/");
  const text = readFileSync(path, "utf8").replaceAll(BUNDLED, `"${to.startsWith(".") ? to : `./${to}`}"`);
  writeFileSync(path, text);
}
for (const path of declarations()) {
  const text = readFileSync(path, "utf8").replaceAll(/(from\s+"|import\(")(\.[^"]*)\.js"/g, '$1$2.cjs"');
  writeFileSync(path.replace(/\.d\.ts$/, ".d.cts"), text);
}
