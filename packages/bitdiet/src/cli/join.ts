/**
 * `bitdiet join PART… -o FILE`: the file that one job would have made, of those that several made with --shard.
 *
 *     bitdiet join part-*.bitdiet -o model.bitdiet
 */

import { refuseUnwritable, writeWhole } from "../formats/whole-files.js";
import { joinShards } from "../join-shards.js";
import { openBitdiet } from "../loaders/open.js";
import { openSource } from "../loaders/source.js";
import { refuseOwnFiles } from "./open.js";
import { UsageError } from "./options.js";
import { formatBytes, type Progress, printable } from "./print.js";

export interface JoinCommand {
  output: string;
  force: boolean;
  json: boolean;
}

/** @throws {UsageError} if the files are not the parts of one model; {CorruptInputError} if one is damaged */
export async function join(
  paths: readonly string[],
  { output, force, json }: JoinCommand,
  progress: Progress,
): Promise<string> {
  refuseUnwritable(output, force);
  await refuseOwnFiles(output, paths);
  const { tensors, pieces } = await joinShards(
    await Promise.all(paths.map((path) => openSource(path))),
  ).catch((error: Error) => {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  });
  async function* toOutput() {
    let done = 0;
    for await (const bytes of pieces()) {
      progress.step("joining", Math.min(tensors, done++), tensors);
      yield { path: output, bytes };
    }
  }
  const check = async (written: string) => void (await openBitdiet(await openSource(written)));
  const written = await writeWhole(toOutput(), { force, check });
  const bytes = written.get(output) ?? 0;
  progress.stop();
  if (json) return JSON.stringify({ file: output, bytes, tensors, shards: paths.length });
  return `${printable(output)}: ${formatBytes(bytes)}, ${tensors} tensors of ${paths.length} parts, every hash fits`;
}
