import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dataFile } from "@bitdiet/zoo/data/outside";
import { uniform } from "@bitdiet/zoo/data/random";
import { decodeModel } from "bitdiet";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { changed, inWindow, SIDE } from "../detection/pictures.js";

const features = dataFile("models/mobilenet-v1-025-imagenet-tfjs/model.json");

describe("windows of pictures", () => {
  const truths = { boxes: Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.6, 0.6, 1, 1), labels: [1, 2] };
  const rounded = ({ boxes, labels }: ReturnType<typeof inWindow>) => [
    labels,
    [...boxes].map((value) => Math.round(1e4 * value) / 1e4),
  ];

  it("keep the boxes whose middle they hold, clipped, also mirrored", () => {
    expect(rounded(inWindow(truths, [0, 0, 0.5, 0.5]))).toEqual([[1], [0.2, 0.4, 0.6, 0.8]]);
    expect(rounded(inWindow(truths, [0.5, 0, 0, 0.5]))).toEqual([[1], [0.4, 0.4, 0.8, 0.8]]);
    expect(rounded(inWindow(truths, [0.1, 0.1, 0.9, 0.9]))).toEqual([
      [1, 2],
      [0, 0.125, 0.25, 0.375, 0.625, 0.625, 1, 1],
    ]);
    expect(inWindow(truths, [0.4, 0, 0.5, 0.5]).labels).toEqual([]);
  });

  it("move boxes with what is in them", () => {
    // A white square on black: wherever the window is, white is where the box says.
    const [length, from, to] = [64, 16, 40];
    const values = new Uint8Array(length * length * 3);
    for (let y = from; y < to; y++) values.fill(255, 3 * (y * length + from), 3 * (y * length + to));
    const box = [from, from, to, to].map((value) => value / length);
    const picture = {
      pixels: { width: length, height: length, values },
      boxes: Float32Array.from(box),
      labels: [1],
    };
    const random = uniform(2);
    for (let i = 0; i < 8; i++) {
      const { input, truths: moved } = changed(picture, random);
      for (const [corner, isInside] of [
        [0.05, true],
        [-0.05, false],
      ] as const) {
        if (moved.labels.length === 0) continue;
        const [left, top, right, bottom] = moved.boxes;
        const x = left + corner * (right - left);
        const y = (top + bottom) / 2;
        if (x <= 0.02) continue;
        const value = input[3 * (Math.floor(y * SIDE) * SIDE + Math.floor(x * SIDE))];
        expect(value > 0.3, `${i}: ${value}`).toBe(isInside);
      }
    }
  });
});

/** A devkit of pictures with one bright square each. */
async function squares(folder: string, sets: Record<string, number>): Promise<void> {
  const random = uniform(4);
  const root = join(folder, "VOC2007");
  for (const part of ["Annotations", "JPEGImages", "ImageSets/Main"])
    mkdirSync(join(root, part), { recursive: true });
  for (const [set, count] of Object.entries(sets)) {
    const names = Array.from({ length: count }, (_, i) => `${set}${i}`);
    writeFileSync(join(root, "ImageSets/Main", `${set}.txt`), names.join("\n"));
    for (const name of names) {
      const side = 30 + Math.floor(20 * random());
      const [left, top] = [0, 0].map(() => Math.floor(random() * (100 - side)));
      const square = await sharp({ create: { width: side, height: side, channels: 3, background: "#f80" } })
        .png()
        .toBuffer();
      const base = sharp({ create: { width: 100, height: 100, channels: 3, background: "#248" } });
      writeFileSync(
        join(root, "JPEGImages", `${name}.jpg`),
        await base
          .composite([{ input: square, left, top }])
          .jpeg()
          .toBuffer(),
      );
      const corners = { xmin: left + 1, ymin: top + 1, xmax: left + side, ymax: top + side };
      const box = Object.entries(corners).map(([corner, value]) => `<${corner}>${value}</${corner}>`);
      writeFileSync(
        join(root, "Annotations", `${name}.xml`),
        `<annotation><size><width>100</width><height>100</height></size><object><name>square</name><bndbox>${box.join("")}</bndbox></object></annotation>`,
      );
    }
  }
}

describe.skipIf(!features)("npm run start:detection", () => {
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "bitdiet-"));
    await squares(folder, { train: 16, val: 3 });
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const main = join(import.meta.dirname, "../detection/main.ts");
  const argumentsOf = (...rest: string[]) => [
    "--import",
    "tsx",
    main,
    "--data",
    folder,
    "--features",
    features!,
    ...rest,
  ];

  it("trains, ships, and finds with what arrived what it found in training", async () => {
    const out = join(folder, "out");
    const short = ["--steps", "2", "--fine-tune-steps", "1", "--out", out, "--json"];
    const printed = execFileSync("node", argumentsOf(...short), {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const report = JSON.parse(printed);
    expect(report.dataset).toEqual({ training: 16, judged: 3, names: ["square"] });
    for (const [name, file] of [
      ["quantized", "quantized"],
      ["quantizedWideRange", "quantized-wide-range"],
      ["compressionAware", "compression-aware"],
    ]) {
      const { graph, decoded, weightBytes, packedBrotliWeightBytes, codedBitsPerValue } = report[name];
      expect(decoded).toEqual(graph);
      const bytes = readFileSync(join(out, `${file}.bitdiet`));
      expect(bytes.length).toBe(weightBytes);
      expect((await decodeModel(bytes)).tensors.length).toBeGreaterThan(90);
      expect(weightBytes).toBeLessThan(report.float.bytes / 4);
      expect(packedBrotliWeightBytes).toBeLessThan(report.float.bytes / 4);
      expect(codedBitsPerValue).toBeLessThan(6);
    }
    const page = readFileSync(join(out, "report.html"), "utf8");
    expect(page.match(/<image id=/g)?.length).toBe(3);
    expect(page).toContain("<title>square</title>");
    expect(JSON.parse(readFileSync(join(out, "report.json"), "utf8"))).toEqual(report);

    const resumed = spawnSync("node", argumentsOf(...short, "--resume", "--seed", "2"), { encoding: "utf8" });
    expect([resumed.status, resumed.stderr]).toEqual([
      2,
      expect.stringContaining("began with other options"),
    ]);
  }, 300_000);

  it("says what is missing before anything starts", () => {
    const failed = (...rest: string[]) => spawnSync("node", argumentsOf(...rest), { encoding: "utf8" });
    const out = join(folder, "none");
    const set = failed("--test-set", "test", "--out", out);
    expect([set.status, set.stderr]).toEqual([
      1,
      expect.stringContaining("expected VOC2007/ImageSets/Main/test.txt"),
    ]);
    const data = spawnSync("node", ["--import", "tsx", main, "--data", join(folder, "nowhere")], {
      encoding: "utf8",
    });
    expect([data.status, data.stderr]).toEqual([
      1,
      expect.stringContaining("nowhere is not there: name yours by --data"),
    ]);
    expect(existsSync(join(out, "report.json"))).toBe(false);
  }, 60_000);
});
