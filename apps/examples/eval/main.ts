// `npm run eval -- --model resnet18 --checkpoint F --data DIR`: the accuracy of a checkpoint of one's own, or a detector's mean
// average precision.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Parameters } from "@bitdiet/compression-aware";
import { loadCifar10, normalizedBatch } from "@bitdiet/zoo/data/cifar10";
import { imageFolder, imagenetInput } from "@bitdiet/zoo/data/imagenet";
import { readPixels, squareWindow } from "@bitdiet/zoo/data/pixels";
import { classesOf, VOC_CLASSES, vocImages } from "@bitdiet/zoo/data/voc";
import { allPoints, elevenPoints, meanAveragePrecision } from "@bitdiet/zoo/detection/average-precision";
import { findBoxes, markedBoxes } from "@bitdiet/zoo/detection/evaluate";
import { priorBoxes } from "@bitdiet/zoo/detection/priors";
import { readCheckpoint } from "@bitdiet/zoo/nets/checkpoint-file";
import { imagenetResnet } from "@bitdiet/zoo/nets/imagenet-resnet";
import { mobilenetV2 } from "@bitdiet/zoo/nets/mobilenet-v2";
import { parametersFromPyTorch } from "@bitdiet/zoo/nets/parameters";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { SSD_300, SSD_512, type SsdVariant, ssd, ssdClasses, ssdInput } from "@bitdiet/zoo/nets/ssd";
import { textTable } from "@bitdiet/zoo/report/text-table";
import {
  exitWith,
  FailedError,
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
const DETECTORS: Record<string, SsdVariant> = { ssd300: SSD_300, ssd512: SSD_512 };
const NAMES = [CIFAR, IMAGENET, DETECTORS].flatMap((models) => Object.keys(models));
const SIDE = 224;

async function run(flags: Flags): Promise<void> {
  const name = String(flags["model"]);
  if (!NAMES.includes(name))
    throw new UsageError(`--model: expected one of ${NAMES.join(", ")}, got ${flags["model"]}`);
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

  const set = String(flags["set"] ?? "test");
  await useBackend("wasm");
  const parameters = parametersFromPyTorch((await readCheckpoint(checkpoint)).tensors);
  const start = performance.now();
  const found = Object.hasOwn(DETECTORS, name)
    ? await detection(name, parameters, { folder, set, images })
    : await classification(name, parameters, { folder, images });
  tf.dispose(parameters);
  console.log(`${found}, ${((performance.now() - start) / 1000).toFixed(0)} s`);
}

const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

async function classification(
  name: string,
  parameters: Parameters,
  { folder, images }: { folder: string; images: number },
): Promise<string> {
  const isCifar = name in CIFAR;
  const model = isCifar ? CIFAR[name] : IMAGENET[name];
  const chosen = (isCifar ? await cifarImages(folder) : imagenetImages(folder)).slice(0, images);
  const side = isCifar ? 32 : SIDE;
  const score = await evaluate((x) => model(parameters, x), chosen, [side, side, 3], isCifar ? 100 : 8);
  return `${name}: top-1 ${percent(score.top1)}, top-5 ${percent(score.top5)} of ${score.images} images`;
}

async function detection(
  name: string,
  parameters: Parameters,
  { folder, set, images }: { folder: string; set: string; images: number },
): Promise<string> {
  const variant = DETECTORS[name];
  const { side } = variant.priors;
  const all = vocImages(folder, set);
  const chosen = all.slice(0, images);
  const classes = ssdClasses(parameters) - 1;
  // Whatever is marked in the set, the classes of VOC are the twenty; others are taken as they are marked.
  const names = classes === VOC_CLASSES.length ? VOC_CLASSES : classesOf(all);
  if (names.length !== classes)
    throw new FailedError(
      `${name} knows ${classes} classes, in ${set} are ${names.length}: ${names.join(", ")}`,
    );
  const found = await findBoxes(
    { run: (x) => ssd(variant, parameters, x), side, priors: priorBoxes(variant.priors), names },
    chosen,
    async (image) => ssdInput(squareWindow(await readPixels(image.read()), side)),
  );
  const marked = markedBoxes(chosen);
  const [older, newer] = [elevenPoints, allPoints].map((rule) => meanAveragePrecision(found, marked, rule));
  const rows = Object.keys(newer.classes).map((one) => [
    one,
    percent(older.classes[one]),
    percent(newer.classes[one]),
  ]);
  console.log(textTable(["average precision", "2007 rule", "2012 rule"], rows));
  return `${name}: mAP ${percent(older.mean)} by the rule of 2007, ${percent(newer.mean)} by that of 2012, of ${chosen.length} images`;
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
  .command(
    "",
    "Accuracy of a checkpoint on CIFAR-10's test images or ImageNet's validation images; mAP of a detector on Pascal VOC",
  )
  .option("--model <name>", NAMES.join(", "))
  .option(
    "--checkpoint <file>",
    "safetensors with torchvision's names; SSD: those of ssd.pytorch, vgg.0.weight",
  )
  .option(
    "--data <dir>",
    "CIFAR-10 in its binary layout; ImageNet: a folder a class, or images and labels.txt; a VOCdevkit or a tar of it",
  )
  .option("--set <name>", "Of a VOCdevkit: the file in ImageSets/Main (default test)")
  .option("--images <n>", "Only the first so many")
  .action(() => {});
await exitWith("npm run eval", async () => {
  const parsed = parseFlags(cli, process.argv.slice(2));
  if (parsed === undefined) return;
  await run(parsed.flags);
});
