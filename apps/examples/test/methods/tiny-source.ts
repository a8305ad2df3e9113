// A testbed that takes seconds: CIFAR-10's layout with smooth random pictures, and a ResNet-8 that was never trained.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { uniform } from "@bitdiet/zoo/data/random";
import { writeCheckpoint } from "@bitdiet/zoo/nets/checkpoint-file";
import { pyTorchFromParameters } from "@bitdiet/zoo/nets/parameters";
import { initialCifarResnet } from "@bitdiet/zoo/nets/resnet";
import * as tf from "@tensorflow/tfjs-core";
import type { TestbedSource } from "../../methods/testbed.js";

/** Writes the files to a folder, which must be there. A backend must have been started. */
export async function tinySource(folder: string): Promise<TestbedSource> {
  const random = uniform(1);
  const records = (count: number) =>
    Buffer.concat(
      Array.from({ length: count }, () => {
        const [a, b, c] = [random() / 4, random() / 4, 255 * random()];
        const pixel = (i: number) => 127 + 60 * Math.sin(a * (i % 32)) + 60 * Math.cos(b * (i >> 5) + c);
        return Uint8Array.from({ length: 3073 }, (_, i) => (i === 0 ? 10 * random() : pixel((i - 1) % 1024)));
      }),
    );
  const data = join(folder, "data");
  mkdirSync(data, { recursive: true });
  for (const n of [1, 2, 3, 4, 5]) writeFileSync(join(data, `data_batch_${n}.bin`), records(50));
  writeFileSync(join(data, "test_batch.bin"), records(300));
  const checkpoint = join(folder, "resnet8.safetensors");
  const parameters = initialCifarResnet(8, 10, 1);
  await writeCheckpoint(checkpoint, pyTorchFromParameters(parameters));
  tf.dispose(parameters);
  const options = { steps: 2, batch: 8, seed: 1, distill: 0.5, codedImages: 50, testImages: 100 };
  return { data, checkpoint, ...options };
}
