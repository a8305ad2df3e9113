/**
 * `bitdiet patch BASE.bitdiet update.bitdelta -o NEW.bitdiet`: the next file, for those who keep files.
 *
 *     bitdiet patch v1.bitdiet v2.bitdelta -o v2.bitdiet
 */
import { readFile } from "node:fs/promises";
import { refuseUnwritable, writeWhole } from "../formats/whole-files.js";
import { applyUpdate } from "../updates/apply.js";
import { sha256 } from "../updates/next.js";
import { hex } from "./diff.js";
import { refuseOwnFiles } from "./open.js";
import { formatBytes, type Progress } from "./print.js";

/** @throws {CorruptInputError} if one of both is damaged, or the update is for another file; nothing is written then */
export async function patch(
  basePath: string,
  updatePath: string,
  { output, force, json }: { output: string; force: boolean; json: boolean },
  progress: Progress,
): Promise<string> {
  refuseUnwritable(output, force);
  await refuseOwnFiles(output, [basePath, updatePath]);
  progress.step("patching", 0, 1);
  const [base, update] = await Promise.all([basePath, updatePath].map((path) => readFile(path)));
  const bytes = await applyUpdate(new Uint8Array(base), new Uint8Array(update));
  await writeWhole([{ path: output, bytes }], { force });
  progress.stop();
  const hash = hex(await sha256(bytes));
  if (json) return JSON.stringify({ file: output, bytes: bytes.length, sha256: hash });
  return `${output}: ${formatBytes(bytes.length)}\nSHA-256 ${hash}`;
}
