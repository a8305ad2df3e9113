// The published packages, those that others need first.
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "..");

/** @returns {{ folder: string, manifest: Record<string, any> }[]} */
export function publishedPackages(top = root) {
  const all = readdirSync(join(top, "packages")).map((name) => {
    const folder = join(top, "packages", name);
    return { folder, manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) };
  });
  const left = new Map(
    all.filter(({ manifest }) => !manifest.private).map((each) => [each.manifest.name, each]),
  );
  const sorted = [];
  while (left.size > 0) {
    const next = [...left.values()].find(({ manifest }) => {
      const needs = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies });
      return !needs.some((name) => name !== manifest.name && left.has(name));
    });
    if (!next) throw new Error(`packages need each other in a circle: ${[...left.keys()]}`);
    left.delete(next.manifest.name);
    sorted.push(next);
  }
  return sorted;
}
