// `node scripts/publish.mjs FOLDER [npm publish options]`: publishes the tarballs of scripts/pack.mjs that the registry has not yet.
// Needs nothing installed: it runs where the right to publish is, and nothing else should.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const [folder, ...options] = process.argv.slice(2);
for (const { name, version, filename } of JSON.parse(readFileSync(join(folder, "packs.json"), "utf8"))) {
  const { stdout } = spawnSync("npm", ["view", `${name}@${version}`, "version"], { encoding: "utf8" });
  if (stdout.trim() === version) {
    console.log(`${name}@${version} is published already`);
    continue;
  }
  execFileSync("npm", ["publish", resolve(folder, filename), "--access", "public", ...options], {
    stdio: "inherit",
  });
}
