import "@tensorflow/tfjs-backend-cpu";
import * as layers from "@tensorflow/tfjs-layers";
import { expect, test } from "vitest";
import { memoryFiles } from "../../../src/formats/files.js";
import { readTfjs } from "../../../src/formats/tfjs.js";
import { hintsOf } from "../../../src/networks/inputs/hints.js";
import { savedFiles } from "../../formats/small-models.js";

const { layers: make } = layers;
const hintsFor = async (model: layers.LayersModel) =>
  hintsOf(await readTfjs(memoryFiles(await savedFiles(model)), "model.json"));

test("words are counted by the table that they are looked up in, positions are none", async () => {
  const words = layers.input({ shape: [6], dtype: "int32" });
  const places = layers.input({ shape: [6], dtype: "int32" });
  const sum = make
    .add()
    .apply([
      make.embedding({ inputDim: 50, outputDim: 4, name: "words" }).apply(words),
      make.embedding({ inputDim: 512, outputDim: 4, name: "positions" }).apply(places),
    ] as layers.SymbolicTensor[]);
  const model = layers.model({ inputs: [words, places], outputs: sum as layers.SymbolicTensor });
  expect(await hintsFor(model)).toEqual({ vocabulary: 50, range: undefined });
});

test("a model that rescales its pixels takes them from 0 to 255", async () => {
  const rescaled = (scale: number) =>
    layers.sequential({
      layers: [
        make.rescaling({ scale, offset: -1, inputShape: [8, 8, 3] }),
        make.conv2d({ filters: 2, kernelSize: 3 }),
      ],
    });
  expect((await hintsFor(rescaled(1 / 127.5))).range).toEqual({ mean: [0], deviation: [1 / 255] });
  expect((await hintsFor(rescaled(2))).range).toBeUndefined();
});
