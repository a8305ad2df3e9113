// A TF.js layers model from a folder, which tfjs-layers in Node, without its native bindings, has no loader for.
// Example: `await readLayers("mobilenet/model.json")` has read the shards beside it, too.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs-core";
import { type LayersModel, loadLayersModel } from "@tensorflow/tfjs-layers";

interface Manifest {
  paths: string[];
  weights: tf.io.WeightsManifestEntry[];
}

/** @param path of a model.json */
export function readLayers(path: string): Promise<LayersModel> {
  const { modelTopology, weightsManifest } = JSON.parse(readFileSync(path, "utf8"));
  const groups: Manifest[] = weightsManifest;
  const shards = groups.flatMap(({ paths }) => paths.map((name) => readFileSync(join(dirname(path), name))));
  return loadLayersModel(
    tf.io.fromMemory({
      modelTopology,
      weightSpecs: groups.flatMap(({ weights }) => weights),
      weightData: new Uint8Array(Buffer.concat(shards)).buffer,
    }),
  );
}
