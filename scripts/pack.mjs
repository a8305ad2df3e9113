// `node scripts/pack.mjs FOLDER`: tarballs of all published packages, as npm would send them, and `packs.json` with their names
// in the order in which to publish them. Fails where a tarball holds what nobody should get, or lacks what everybody needs.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { publishedPackages, root } from "./packages.mjs";

/** Everything that a tarball may hold. */
const ALLOWED = [
  /^(package\.json|README\.md|LICENSE|FORMAT\.md|CHANGELOG\.md)$/,
  /^dist\/.*\.(js|cjs|d\.ts|d\.cts|wasm)$/,
  /^bin\/bitdiet\.js$/,
  /^python\/reader\.py$/,
];

/** @returns what is wrong with the files of a tarball, nothing if all is well */
export function packFaults(manifest, paths) {
  const strange = paths.filter((path) => !ALLOWED.some((allowed) => allowed.test(path)));
  const entries = JSON.stringify([manifest.exports, manifest.bin, manifest.main, manifest.types]).matchAll(
    /"\.\/([^"*]+)"/g,
  );
  const needed = ["package.json", "README.md", "LICENSE", ...[...entries].map((match) => match[1])];
  const missing = needed.filter((path) => !paths.includes(path) && /\.[a-z]+$|LICENSE/.test(path));
  return [
    ...strange.map((path) => `${manifest.name}: holds ${path}`),
    ...missing.map((path) => `${manifest.name}: lacks ${path}`),
  ];
}

/** @returns {{ name: string, version: string, filename: string, size: number }[]} */
export function packAll(destination, top = root) {
  mkdirSync(destination, { recursive: true });
  const faults = [];
  const packs = publishedPackages(top).map(({ folder, manifest }) => {
    const args = ["pack", "--json", "--pack-destination", resolve(destination)];
    const [{ filename, size, files }] = JSON.parse(
      execFileSync("npm", args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
    );
    faults.push(
      ...packFaults(
        manifest,
        files.map(({ path }) => path),
      ),
    );
    return { name: manifest.name, version: manifest.version, filename, size };
  });
  if (faults.length > 0) throw new Error(faults.join("\n"));
  return packs;
}

if (import.meta.filename === process.argv[1]) {
  const [destination] = process.argv.slice(2);
  if (!destination) throw new Error("usage: node scripts/pack.mjs FOLDER");
  writeFileSync(join(destination, "packs.json"), `${JSON.stringify(packAll(destination), null, 2)}\n`);
}
