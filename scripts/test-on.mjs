// `node scripts/test-on.mjs 20 22 24 latest`: the tests of what meets Node (loaders, files, the command, training, the fuzzer) on
// other versions of it, as npm's package `node` brings them. Build first. Without versions: those that CI has.
import { spawnSync } from "node:child_process";
import { root } from "./packages.mjs";

const TESTS = [
  "packages/bitdiet/test/loaders",
  "packages/bitdiet/test/file",
  "packages/bitdiet/test/formats",
  "packages/bitdiet/test/cli",
  "packages/zoo/test/training",
  "packages/zoo/test/nets",
  "packages/bench/test/fuzz.test.ts",
  "packages/stream",
];

const versions = process.argv.slice(2);
const failed = (versions.length > 0 ? versions : ["20", "22", "24", "latest"]).filter((version) => {
  const node = ["--yes", "--package", `node@${version}`, "--", "node"];
  // From elsewhere: npx would take the project's own for a package of that name.
  const { stdout } = spawnSync("npx", [...node, "--version"], { cwd: "/", encoding: "utf8" });
  console.log(`Node ${stdout.trim()}`);
  const vitest = ["node_modules/vitest/vitest.mjs", "run", "--project", "node", "--maxWorkers=1", ...TESTS];
  return spawnSync("npx", [...node, ...vitest], { cwd: root, stdio: "inherit" }).status !== 0;
});
if (failed.length > 0) {
  console.error(`Failed on Node ${failed.join(", ")}`);
  process.exit(1);
}
