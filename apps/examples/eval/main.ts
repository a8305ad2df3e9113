// `npm run eval -- --model resnet18 --checkpoint F --data DIR`: the accuracy of a checkpoint of one's own.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Parameters } from "@bitdiet/compression-aware";
import { loadCifar10, normalizedBatch } from "@bitdiet/zoo/data/cifar10";
import { imageFolder, imagenetInput } from "@bitdiet/zoo/data/imagenet";
import { readCheckpoint } from "@bitdiet/zoo/nets/checkpoint-file";
import { imagenetResnet } from "@bitdiet/zoo/nets/imagenet-resnet";
import { mobilenetV2 } from "@bitdiet/zoo/nets/mobilenet-v2";
import { parametersFromPyTorch } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import {
  exitWith,
  type Flags,
  numberFlag,
  parseFlags,
  pathFlag,
  UsageError,
} from "@bitdiet/zoo/runner/command-line";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { evaluate } from "@bitdiet/zoo/training/evaluate";
import * as tf from "@tensorflow/tfjs-core";
import cac from "cac";

type Model = (parameters: Parameters, x: tf.Tensor4D) => tf.Tensor2D;

/** By torchvision's names; the depth is that of the checkpoint. */
const IMAGENET: Record<string, Model> = {
  resnet18: imagenetResnet,
  resnet34: imagenetResnet,
  resnet50: imagenetResnet,
  mobilenet_v2: mobilenetV2,
};
const CIFAR: Record<string, Model> = {
  resnet20: cifarResnet,
  resnet32: cifarResnet,
  resnet44: cifarResnet,
  resnet56: cifarResnet,
};
const NAMES = [...Object.keys(CIFAR), ...Object.keys(IMAGENET)];
const SIDE = 224;

async function run(flags: Flags): Promise<void> {
  const name = String(flags["model"]);
  const model = IMAGENET[name] ?? CIFAR[name];
  if (!model) throw new UsageError(`--model: expected one of ${NAMES.join(", ")}, got ${flags["model"]}`);
  const [checkpoint, folder] = ["checkpoint", "data"].map((flag) => {
    const path = pathFlag(flags, flag);
    if (!existsSync(path)) throw new UsageError(`--${flag}: ${path} is not there`);
    return path;
  });
  const images = numberFlag(flags, "images", {
    fallback: Number.MAX_SAFE_INTEGER,
    least: 1,
    most: Number.MAX_SAFE_INTEGER,
  });

  await useBackend("wasm");
  const parameters = parametersFromPyTorch((await readCheckpoint(checkpoint)).tensors);
  const start = performance.now();
  const isCifar = name in CIFAR;
  const chosen = (isCifar ? await cifarImages(folder) : imagenetImages(folder)).slice(0, images);
  const side = isCifar ? 32 : SIDE;
  const score = await evaluate((x) => model(parameters, x), chosen, [side, side, 3], isCifar ? 100 : 8);
  tf.dispose(parameters);
  const seconds = (performance.now() - start) / 1000;
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  console.log(
    `${name}: top-1 ${percent(score.top1)}, top-5 ${percent(score.top5)} of ${score.images} images, ${seconds.toFixed(0)} s`,
  );
}

async function cifarImages(folder: string) {
  const { test } = await loadCifar10(folder);
  return Array.from(test.labels, (label, i) => ({ label, input: async () => normalizedBatch(test, [i]) }));
}

function imagenetImages(folder: string) {
  const validation = join(folder, "val");
  return imageFolder(existsSync(validation) ? validation : folder).map(({ label, read }) => ({
    label,
    input: () => imagenetInput(read(), SIDE),
  }));
}

const cli = cac("npm run eval --");
cli
  .command("", "Accuracy of a checkpoint on CIFAR-10's test images or ImageNet's validation images")
  .option("--model <name>", NAMES.join(", "))
  .option("--checkpoint <file>", "safetensors with torchvision's names")
  .option(
    "--data <dir>",
    "CIFAR-10 in its binary layout; ImageNet: a folder a class, or images and labels.txt",
  )
  .option("--images <n>", "Only the first so many")
  .action(() => {});
await exitWith("npm run eval", async () => {
  const parsed = parseFlags(cli, process.argv.slice(2));
  if (parsed === undefined) return;
  await run(parsed.flags);
});
