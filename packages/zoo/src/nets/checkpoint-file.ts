// safetensors checkpoints on disk, read and written by bitdiet's own format, as floats.
// Example: `(await readCheckpoint("resnet20.safetensors")).tensors["conv1.weight"].values` is a Float32Array of 432.
import { basename, dirname } from "node:path";
import { type Dtype, floatBytes, floatValues, isFloat, type Model, readModel, writeModel } from "bitdiet";
import { folderFiles, writeFiles } from "bitdiet/node";

/** One tensor of a checkpoint. */
export interface CheckpointTensor {
  dtype: Dtype;
  shape: readonly number[];
  /** In row-major order, as float32 whatever the width of the floats; none where the tensor holds no floats. */
  values?: Float32Array;
}

/** A whole file, or a set of shards. */
export interface Checkpoint {
  tensors: Record<string, CheckpointTensor>;
  metadata: Record<string, string>;
}

/**
 * Reads a safetensors file, or a .safetensors.index.json with its shards.
 *
 * @throws {ModelFileError} if a file is missing or corrupt; the message names it
 */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  const model = await readModel(folderFiles(dirname(path)), basename(path));
  const entries = model.tensors.map(async ({ name, dtype, shape, bytes }) => {
    const values = isFloat(dtype) ? floatValues(dtype, await bytes()) : undefined;
    return [name, { dtype, shape, values }] as const;
  });
  return { tensors: Object.fromEntries(await Promise.all(entries)), metadata: metadataOf(model) };
}

/** Strings of a single file's header. */
function metadataOf({ metadata }: Model): Record<string, string> {
  const { files } = JSON.parse(new TextDecoder().decode(metadata["layout"])) as SafetensorsLayout;
  return files.length === 1 ? (files[0].metadata ?? {}) : {};
}

/** What bitdiet keeps of a safetensors model besides its tensors. */
interface SafetensorsLayout {
  files: { name: string; tensors: number; metadata?: Record<string, string> }[];
}

/** A tensor to be written as float32. */
export interface FloatTensor {
  shape: readonly number[];
  values: Float32Array;
}

/** Writes a safetensors file of float32, creating its folder and replacing an older file in one step. */
export async function writeCheckpoint(
  path: string,
  tensors: Record<string, FloatTensor>,
  metadata?: Record<string, string>,
): Promise<void> {
  const entries = Object.entries(tensors);
  const layout: SafetensorsLayout = { files: [{ name: basename(path), tensors: entries.length, metadata }] };
  const model: Model = {
    format: "safetensors",
    tensors: entries.map(([name, { shape, values }]) => ({
      name,
      dtype: "float32",
      shape: [...shape],
      use: { kind: "exact", reason: "of a checkpoint" },
      bytes: async () => floatBytes("float32", values),
    })),
    metadata: { layout: new TextEncoder().encode(JSON.stringify(layout)) },
  };
  await writeFiles(writeModel(model), dirname(path), { force: true });
}
