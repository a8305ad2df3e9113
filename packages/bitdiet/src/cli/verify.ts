/**
 * `bitdiet verify FILE`: decodes everything and keeps nothing.
 *
 *     bitdiet verify model.bitdiet
 *     model.bitdiet: 540,332 B, 75 tensors, every hash fits
 */
import { CorruptInputError } from "../file/errors.js";
import { openPath } from "./open.js";
import { formatBytes, type Progress } from "./print.js";

/** @throws {CorruptInputError} at the first part that does not decode */
export async function verify(path: string, json: boolean, progress: Progress): Promise<string> {
  const { bitdiet, model } = await openPath(path);
  if (!bitdiet) throw new CorruptInputError(`${path}: not a .bitdiet file`);
  for (const [index, tensor] of model.tensors.entries()) {
    progress.step("decoding", index, model.tensors.length);
    await tensor.bytes();
  }
  progress.stop();
  const { fileLength } = bitdiet.header;
  if (json)
    return JSON.stringify({ file: path, bytes: fileLength, tensors: model.tensors.length, valid: true });
  return `${path}: ${formatBytes(fileLength)}, ${model.tensors.length} tensors, every hash fits`;
}
