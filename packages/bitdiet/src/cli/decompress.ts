/**
 * `bitdiet decompress FILE -o DIR`: the model in the format that it had, for the tool that it came from.
 *
 *     bitdiet decompress model.bitdiet -o model
 *     model/model.json 48,211 B, model/group1-shard1of1.bin 4,185,952 B
 */
import { join } from "node:path";
import type { FilePiece } from "../formats/files.js";
import { writeModel } from "../formats/list.js";
import { writeFiles } from "../formats/node-files.js";
import { shardIn } from "../shard.js";
import { openPath, refuseOwnFiles } from "./open.js";
import { UsageError } from "./options.js";
import { formatBytes, type Progress, printable } from "./print.js";

export async function decompress(
  path: string,
  { output, force, json }: { output: string; force: boolean; json: boolean },
  progress: Progress,
): Promise<string> {
  const { bitdiet, model, files: own } = await openPath(path);
  if (!bitdiet) throw new UsageError(`${path}: not a .bitdiet file, nothing to decompress`);
  const shard = shardIn(model);
  if (shard)
    throw new UsageError(`${path}: is part ${shard.index} of ${shard.count} of a model: bitdiet join first`);
  let done = 0;
  const tensors = model.tensors.map((tensor) => ({
    ...tensor,
    bytes: () => {
      progress.step("decoding", done++, model.tensors.length);
      return tensor.bytes();
    },
  }));
  async function* pieces(): AsyncGenerator<FilePiece> {
    let last: string | undefined;
    for await (const piece of writeModel({ ...model, tensors })) {
      if (piece.file !== last) await refuseOwnFiles(join(output, piece.file), own);
      last = piece.file;
      yield piece;
    }
  }
  const written = await writeFiles(pieces(), output, { force });
  progress.stop();
  const files = [...written].map(([file, bytes]) => ({ file: join(output, file), bytes }));
  if (json) return JSON.stringify({ format: model.format, files });
  return files.map(({ file, bytes }) => `${printable(file)} ${formatBytes(bytes)}`).join("\n");
}
