// A layers model of TF.js as `bitdiet` reads models: from the files that it would be saved as, kept in memory.
import * as tf from "@tensorflow/tfjs-core";
import type { LayersModel } from "@tensorflow/tfjs-layers";
import { type Model, memoryFiles, readModel } from "bitdiet";

export async function modelOf(network: LayersModel): Promise<Model> {
  const files: Record<string, Uint8Array> = {};
  const handler = tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData }) => {
    const weightsManifest = [{ paths: ["weights.bin"], weights: weightSpecs }];
    files["model.json"] = new TextEncoder().encode(JSON.stringify({ modelTopology, weightsManifest }));
    files["weights.bin"] = new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData));
    return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
  });
  await network.save(handler);
  return readModel(memoryFiles(files), "model.json");
}
