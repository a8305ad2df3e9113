// `node scripts/test-on.mjs 20 22 24 latest`: all tests that need no browser on other versions of Node, as npm's package `node` brings
// them. Build first. Without versions: those that CI has. What is not a version is a file or folder of tests: only these.
import { spawnSync } from "node:child_process";
import { root } from "./packages.mjs";

const isVersion = (argument) => /^(\d[\d.]*|latest)$/.test(argument);
const given = process.argv.slice(2);
const versions = given.filter(isVersion);
const tests = given.filter((argument) => !isVersion(argument));
const failed = (versions.length > 0 ? versions : ["20", "22", "24", "latest"]).filter((version) => {
  const node = ["--yes", "--package", `node@${version}`, "--", "node"];
  // From elsewhere: npx would take the project's own for a package of that name.
  const { stdout } = spawnSync("npx", [...node, "--version"], { cwd: "/", encoding: "utf8" });
  console.log(`Node ${stdout.trim()}`);
  const projects = ["--project", "node", "--project", "node-golden"];
  const vitest = ["node_modules/vitest/vitest.mjs", "run", ...projects, "--maxWorkers=1", ...tests];
  return spawnSync("npx", [...node, ...vitest], { cwd: root, stdio: "inherit" }).status !== 0;
});
if (failed.length > 0) {
  console.error(`Failed on Node ${failed.join(", ")}`);
  process.exit(1);
}
