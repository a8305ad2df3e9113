// The commit that a report was made at.
import { execFileSync } from "node:child_process";

/** Full hash of the commit that is checked out; null outside of a git checkout. */
export function commit(): string | null {
  try {
    return execFileSync("git", ["rev-parse", "HEAD"], {
      cwd: import.meta.dirname,
      encoding: "utf8",
      stdio: "pipe",
    }).trim();
  } catch {
    return null;
  }
}
