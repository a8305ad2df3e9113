/**
 * `bitdiet diff BASE.bitdiet MODEL -o update.bitdelta`: what has changed since a file that its users have. It is applied once before it
 * gets its name.
 *
 *     bitdiet diff v1.bitdiet model.json -o v2.bitdelta --max-bytes 40kB
 */
import { readFile } from "node:fs/promises";
import { refuseUnwritable, writeWhole } from "../formats/whole-files.js";
import { encodeUpdate, type UpdateReport, type UpdateTarget } from "../updates/encode.js";
import { nextModel, nextTensor, sha256 } from "../updates/next.js";
import { openPath, refuseOwnFiles } from "./open.js";
import { asUsage } from "./options.js";
import { formatBytes, type Progress, timesSmaller } from "./print.js";

export interface DiffCommand {
  output: string;
  target?: UpdateTarget;
  force: boolean;
  json: boolean;
}

/** @throws {BudgetError} if the update cannot be made as small */
export async function diff(
  basePath: string,
  path: string,
  { output, target, force, json }: DiffCommand,
  progress: Progress,
): Promise<string> {
  refuseUnwritable(output, force);
  const opened = await openPath(path);
  const base = new Uint8Array(await readFile(basePath));
  await refuseOwnFiles(output, [basePath, ...opened.files]);
  progress.step("comparing", 0, 1);
  const made = await encodeUpdate(base, opened.model, target).catch((error) =>
    asUsage("MODEL", () => {
      throw error;
    }),
  );
  for (const tensor of (await nextModel(base, made.bytes)).tensors) nextTensor(tensor);
  await writeWhole([{ path: output, bytes: made.bytes }], { force });
  progress.stop();
  const { report } = made;
  const hashes = { base: hex(await sha256(base)), sha256: hex(await sha256(made.bytes)) };
  return json
    ? JSON.stringify({ file: output, ...hashes, baseBytes: base.length, ...report })
    : described(output, base.length, hashes, report);
}

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function described(
  file: string,
  baseBytes: number,
  { base, sha256: own }: { base: string; sha256: string },
  { bytes, tensors: { kept, changed, own: anew, gone } }: UpdateReport,
): string {
  const of = (count: number, what: string) => (count > 0 ? [`${count} ${what}`] : []);
  const counts = [
    ...of(kept, "tensors as they were"),
    ...of(changed, "by what changed"),
    ...of(anew, "anew"),
    ...of(gone, "replaced or gone"),
  ];
  return [
    counts.join(", "),
    `${file}: ${formatBytes(bytes)}, ${timesSmaller(bytes, baseBytes)} than the ${formatBytes(baseBytes)} of the base`,
    `SHA-256 ${own}`,
    `for the base of SHA-256 ${base}`,
    "The update was applied and decoded.",
  ].join("\n");
}
