import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { uniform as random } from "@bitdiet/zoo/data/random";
import { readCheckpoint, writeCheckpoint } from "@bitdiet/zoo/nets/checkpoint-file";
import { parametersFromPyTorch, pyTorchFromParameters } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet, initialCifarResnet } from "@bitdiet/zoo/nets/resnet";
import { readResnetLayers } from "@bitdiet/zoo/nets/resnet-layers";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { expect, test } from "vitest";
import { modelTables } from "../src/models-table.js";

test("the ResNet with its batch norms folded gives the logits of the one that trains", async () => {
  await useBackend("wasm");
  const folder = mkdtempSync(join(tmpdir(), "bitdiet-bench-"));
  const path = join(folder, "resnet20.safetensors");
  const next = random(1);
  const entries = pyTorchFromParameters(initialCifarResnet(20, 10, 1));
  // Batch norms as after training: none of them is the identity.
  for (const [name, entry] of Object.entries(entries)) {
    if (/bn\d|linear.bias/.test(name))
      entry.values = Float32Array.from({ length: entry.values.length }, () => 0.5 + next());
  }
  await writeCheckpoint(path, entries);
  const parameters = parametersFromPyTorch((await readCheckpoint(path)).tensors);
  const x = tf.tensor4d(
    Float32Array.from({ length: 2 * 32 * 32 * 3 }, () => 2 * next() - 1),
    [2, 32, 32, 3],
  );
  const expected = tf.tidy(() => cifarResnet(parameters, x)).dataSync();
  const logits = ((await readResnetLayers(path)).predict(x) as tf.Tensor).dataSync();
  rmSync(folder, { recursive: true });
  const scale = Math.max(...expected.map(Math.abs));
  for (const [i, value] of logits.entries()) expect(Math.abs(value - expected[i])).toBeLessThan(1e-4 * scale);
});

test("the tables have every curve at equal divergence, as a share of NNCodec's bytes", () => {
  const point = { setting: "float32", bytes: 4000, divergence: 0, right: 9 };
  const tables = modelTables({
    name: "Net",
    floatBytes: 4000,
    floatRight: 9,
    images: 10,
    calibrationImages: 5,
    divergences: [0.03, 0.06],
    bytesAtDivergence: { "NNCodec, best (quoted)": [1000, null], "bitdiet, calibrated": [500, 400] },
    sensitivitySeconds: 1,
    plain: [point],
    weightOnly: [],
    calibrated: [],
  });
  expect(tables).toContain("| bitdiet, calibrated    | 500 (0.50)   | 400     |");
  expect(tables).toContain("| float32 | 4,000 | 0.0000 | 9 of 10 |");
});
