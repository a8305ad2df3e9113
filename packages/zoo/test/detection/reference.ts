// The second implementation, reference.py, at work: results of cases by their names.
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";

export const hasPython = spawnSync("python3", ["-c", "import numpy"]).status === 0;
if (!hasPython)
  console.warn("python3 with numpy is not installed: detection is not compared with reference.py");

// biome-ignore lint/suspicious/noExplicitAny: what comes back is as different as the cases
export function reference(cases: Record<string, unknown>): any {
  const script = join(import.meta.dirname, "reference.py");
  const input = JSON.stringify(cases, (_, value) =>
    ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value,
  );
  return JSON.parse(execFileSync("python3", [script], { input, encoding: "utf8", maxBuffer: 2 ** 28 }));
}

/** Largest difference of two rows of numbers of one length. */
export const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  a.length === b.length
    ? Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)
    : Infinity;
