/** Arrays of NumPy as calibration inputs: a .npz with one for each input by name, or a .npy for a model with one. */
import { readFile } from "node:fs/promises";
import type * as Fflate from "fflate";
import { importPeer } from "../../networks/find-runner.js";
import { singles } from "../../networks/inputs/given.js";
import type { Feeds } from "../../networks/inputs/made-up.js";
import { type NamedArray, npyArray } from "../../networks/inputs/npy.js";
import type { RunInput } from "../../networks/runner.js";
import { UsageError } from "../options.js";

/** @throws {RangeError} if there are no arrays in it, or they are not the model's inputs */
export async function arrayFeeds(path: string, inputs: readonly RunInput[]): Promise<Feeds[]> {
  const bytes = new Uint8Array(await readFile(path));
  if (!path.toLowerCase().endsWith(".npz")) return singles(inputs, new Map([["", npyArray(bytes)]]));
  const fflate = await importPeer<typeof Fflate>("fflate");
  if (!fflate) throw new UsageError("--calibrate: fflate reads .npz: npm install fflate");
  const arrays = Object.entries(unzipped(fflate, bytes, path)).map(([name, file]): [string, NamedArray] => [
    name.replace(/\.npy$/, ""),
    npyArray(file),
  ]);
  if (arrays.length === 0) throw new RangeError(`${path}: expected arrays in it, got none`);
  return singles(inputs, new Map(arrays));
}

function unzipped({ unzipSync }: typeof Fflate, bytes: Uint8Array, path: string) {
  try {
    return unzipSync(bytes);
  } catch (error) {
    throw new RangeError(`${path}: expected an archive of NumPy (.npz): ${(error as Error).message}`);
  }
}
