import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  contextRate,
  type FrozenScale,
  initialScales,
  type Parameters,
  quantizingHooks,
  type Scales,
  uniformQuantizers,
} from "@bitdiet/compression-aware";
import { normalizedBatch } from "@bitdiet/zoo/data/cifar10";
import { uniform } from "@bitdiet/zoo/data/random";
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { calibratedWeights } from "../../methods/calibrated.js";
import { mixedIntegers, packMixed } from "../../methods/diffq/mixed-weights.js";
import { judge } from "../../methods/judge.js";
import { parseWords, type Words } from "../../methods/options.js";
import { quantizationAware } from "../../methods/quantization-aware.js";
import type { Recipe } from "../../methods/recipe.js";
import { RECIPES } from "../../methods/recipes.js";
import { runRecipes } from "../../methods/run.js";
import { writeTable } from "../../methods/table.js";
import {
  accuracy,
  batchOf,
  calibrationImages,
  imagesFrom,
  loadTestbed,
  type Testbed,
  taskLoss,
} from "../../methods/testbed.js";
import { trainOnWorkers } from "../../methods/workers.js";
import { tinySource } from "./tiny-source.js";

const folder = mkdtempSync(join(tmpdir(), "bitdiet-methods-"));

const source = () => tinySource(folder);

let testbed: Testbed;
beforeAll(async () => {
  await useBackend("wasm");
  testbed = await loadTestbed(await source());
});

describe("the testbed", () => {
  test("gives the same batch for the same step, another for another, and workers its parts", () => {
    tf.tidy(() => {
      const values = (of: Testbed, step: number) => {
        const { x, labels } = batchOf(of)(step);
        return { x: [...x.dataSync()], labels: [...labels.dataSync()] };
      };
      const whole = values(testbed, 3);
      expect(values(testbed, 3)).toEqual(whole);
      expect(values(testbed, 4).x).not.toEqual(whole.x);
      const parts = [0, 1].map((index) => values({ ...testbed, share: { index, count: 2 } }, 3));
      expect(parts.flatMap(({ x }) => x)).toEqual(whole.x);
      expect(parts.flatMap(({ labels }) => labels)).toEqual(whole.labels);
    });
  });
});

describe("the task's loss", () => {
  const at = (distill: number, parameters: Parameters) =>
    tf.tidy(() => taskLoss({ ...testbed, distill })(parameters, {}, 0).dataSync()[0]);

  test("is the divergence from the float network's answers at temperature 4, and what the labels' share leaves of it", () => {
    expect(at(1, testbed.start)).toBeCloseTo(0, 5);
    const bias = tf.tidy(() => tf.add(testbed.start["linear.bias"], tf.oneHot(3, 10)));
    const other = { ...testbed.start, "linear.bias": bias };
    const answers = (parameters: Parameters) =>
      tf.tidy(() => cifarResnet(parameters, batchOf(testbed)(0).x).arraySync());
    const softmax = (logits: number[]) => {
      const powers = logits.map((logit) => Math.exp(logit / 4));
      return powers.map((power) => power / powers.reduce((a, b) => a + b));
    };
    const [teacher, student] = [answers(testbed.start), answers(other)].map((rows) => rows.map(softmax));
    const divergence = teacher
      .flatMap((row, i) => row.map((p, c) => p * Math.log(p / student[i][c])))
      .reduce((a, b) => a + b);
    expect(divergence).toBeGreaterThan(1e-3);
    expect(at(1, other)).toBeCloseTo((16 * divergence) / testbed.batch, 4);
    expect(at(0.5, other)).toBeCloseTo((at(0, other) + at(1, other)) / 2, 5);
    bias.dispose();
  });
});

describe("a network that was decoded from bytes", () => {
  const widths = { activationBits: 3, weightBits: 5 };
  const quantizersOf = (scales: Scales) => uniformQuantizers(scales, widths);

  test("answers as the one with fake quantization, costs what its parts cost, and leaves no tensor behind", async () => {
    const images = calibrationImages(testbed, 50);
    const scales: Scales<FrozenScale> = initialScales(
      (hooks) => cifarResnet(testbed.start, images, hooks),
      widths,
    );
    images.dispose();
    const before = tf.memory().numTensors;
    const measured = await judge(testbed, { parameters: testbed.start, scales, quantizersOf });
    expect(tf.memory().numTensors).toBe(before);
    const hooks = quantizingHooks(quantizersOf(scales));
    expect(measured.accuracy).toBe(accuracy(testbed.test, (x) => cifarResnet(testbed.start, x, hooks)));

    const { activations, weights } = measured;
    expect(activations!.fixedWidth).toBe(3);
    expect(activations!.layers.length).toBe(7);
    expect(activations!.layers.reduce((sum, { values }) => sum + values, 0)).toBe(
      50 * (16 * 1024 * 3 + 32 * 256 * 2 + 64 * 64 * 2),
    );
    for (const { entropy, huffman, ans } of activations!.layers) {
      expect(huffman).toBeGreaterThanOrEqual(entropy);
      expect(ans).toBeGreaterThanOrEqual(entropy);
    }
    const parts = weights!.layers.reduce((sum, { bytes }) => sum + bytes, 0);
    const scalars = Object.keys(scales.activation).length;
    const biases = Object.entries(testbed.start).filter(([name]) => name.endsWith(".bias"));
    const exact = 4 * (scalars + biases.reduce((sum, [, { size }]) => sum + size, 0));
    expect(weights!.bytes).toBeGreaterThan(parts);
    expect(weights!.bytes).toBeLessThan(parts + exact + 50 * Object.keys(testbed.start).length);
  });
});

describe("weights of mixed widths", () => {
  test("144 weights of 8 bits in groups of 8 take the published 1278 bits", () => {
    const range = { min: -1, max: 1 };
    const weight = { range, bits: new Int32Array(18).fill(8), indices: new Int32Array(144) };
    expect(packMixed(weight, 2).length).toBe(Math.ceil(1278 / 8));
  });

  test("are multiples of their group's step in the file, one group a row", () => {
    const random = uniform(2);
    const values = Float32Array.from({ length: 24 }, () => 2 * random() - 1);
    const weight = { shape: [4, 6], range: { min: -1, max: 1 }, bits: Int32Array.of(2, 8, 4) };
    const { shape, integers, steps, axis } = mixedIntegers(values, weight);
    expect([shape, axis]).toEqual([[3, 8], 0]);
    for (const [g, width] of weight.bits.entries())
      expect(steps[g] / (2 / (2 ** width - 1))).toBeCloseTo(1, 2);
    for (const [i, value] of values.entries()) {
      const step = steps[i >> 3];
      expect(Math.abs(integers[i] * step - value)).toBeLessThanOrEqual(step / 2 + 1e-6);
    }
  });
});

describe("running recipes", () => {
  let made: string[] = [];
  const measure = (id: string) => async () => {
    made.push(id);
    return { accuracy: 0.5 };
  };
  const run = (id: string, trains: boolean) => ({
    id,
    title: id,
    of: "weights" as const,
    trains,
    measure: measure(id),
  });
  const recipe: Recipe = {
    name: "toy",
    paper: "",
    published: "",
    runs: [run("one", true), run("two", false)],
  };
  const results = join(folder, "results");
  const rows = async (changes: Partial<Testbed> = {}, options: { fresh?: boolean; only?: string } = {}) => {
    made = [];
    return runRecipes([recipe], { ...testbed, ...changes }, { results, fresh: false, ...options });
  };

  test("goes on with what is missing, and makes a row again when what it depends on has changed", async () => {
    const all = await rows();
    expect(made).toEqual(["one", "two"]);
    expect(all[0]).toMatchObject({ recipe: "toy", id: "one", steps: 2, batch: 8, seed: 1, images: 100 });
    expect(all[1]).toMatchObject({ steps: 0, batch: 0 });
    expect(await rows()).toEqual(all);
    expect(made).toEqual([]);
    await rows({ steps: 3 });
    expect(made).toEqual(["one"]);
    await rows({ steps: 3 }, { fresh: true, only: "tw" });
    expect(made).toEqual(["two"]);
    expect(readdirSync(results).sort()).toEqual(["toy.one.json", "toy.two.json"]);
  });

  test("trains a longer run for as many times the steps, and its row says how many", async () => {
    const seen: number[] = [];
    const measure = async ({ steps }: Testbed) => {
      seen.push(steps);
      return { accuracy: 0.5 };
    };
    const longer = { ...recipe, name: "long", runs: [{ ...run("five", true), longer: 5, measure }] };
    const [row] = await runRecipes([longer], testbed, { results: join(folder, "longer"), fresh: false });
    expect(seen).toEqual([5 * testbed.steps]);
    expect(row.steps).toBe(5 * testbed.steps);
    expect(row.command).toContain(`--steps ${testbed.steps} `);
  });

  test("every recipe's rows have ids of their own, fit for files", () => {
    const ids = RECIPES.flatMap(({ name, runs }) => runs.map(({ id }) => `${name}.${id}`));
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[\w.-]+$/);
  });

  test("the table stands between the README's marks, curves are compared, and the rest of it stays", async () => {
    const bits = { fixedWidth: 4, entropy: 2, huffman: 2.1, ans: 2.05, layers: [] };
    const row = (id: string, title: string, accuracy: number, coded?: number, curve?: string) => ({
      ...{ recipe: id === "float" ? id : "cat", id, title, of: "activations", accuracy, curve, seconds: 9 },
      ...{ steps: 100, batch: 64, distill: 0, seed: 1, images: 5000, codedImages: 5000, command: "c" },
      activations: coded && { ...bits, coded },
    });
    const own = join(folder, "own");
    mkdirSync(own);
    // At every accuracy the second curve has half the rate of the first.
    const rows = [
      row("float", "float32", 0.86),
      row("plain-5-1", "a network", 0.85, 2, "λ = 0"),
      row("plain-4-1", "another", 0.8, 1, "λ = 0"),
      row("context-1", "a third", 0.85, 1, "context"),
      row("context-3", "a fourth", 0.8, 0.5, "context"),
      ...[0.85, 0.8].flatMap((accuracy, i) => [
        {
          ...row(["long-plain-4-2", "long-plain-4-3"][i], "longer", accuracy, 3 - i, "λ = 0, longer"),
          steps: 500,
        },
        {
          ...row(
            ["long-channels-1", "long-channels-3"][i],
            "longer",
            accuracy,
            (3 - i) / 4,
            "context, longer",
          ),
          steps: 500,
        },
      ]),
    ];
    for (const one of rows) writeFileSync(join(own, `${one.recipe}.${one.id}.json`), JSON.stringify(one));
    const readme = join(folder, "README.md");
    writeFileSync(readme, "before\n<!-- results -->\nold\n<!-- /results -->\nafter\n");
    await writeTable(own, readme);
    const text = readFileSync(readme, "utf8");
    expect(text).toMatch(/^before\n/);
    expect(text).toMatch(/\nafter\n$/);
    expect(text).not.toContain("old");
    expect(text).toContain("Float network: 86.00 % of 5,000 test images");
    expect(text).toContain("| a network | **2.000** | 2.000 | 2.100 | 2.050 | 4 | 85.00 % | 100 × 64 |");
    expect(text).toContain("| cat: context | -50.0 % |");
    expect(text).toContain("| cat: context, longer | -75.0 % |");
    expect(text.match(/BD-rate against/g)!.length).toBe(2);
    expect(text).toContain("![Rate against accuracy](own/activations.svg)");
    expect(readFileSync(join(own, "activations.svg"), "utf8")).toContain("cat: context");
  });
});

describe("training on two workers", () => {
  test("a recipe that trains twice ends where one thread does, up to rounding", async () => {
    // It has no rate terms: what they draw depends on the thread.
    const plan = await source();
    const run = RECIPES.find(({ name }) => name === "crq")!.runs.find(({ id }) => id === "clustered")!;
    const here = await run.measure(testbed);
    const there = await run.measure({
      ...testbed,
      trainOn: trainOnWorkers(plan, { workers: 2 })("crq", run.id),
    });
    expect(there.weights!.coded).toBeCloseTo(here.weights!.coded, 1);
    expect(Math.abs(there.accuracy - here.accuracy)).toBeLessThan(0.03);
  }, 180_000);
});

describe("calibration", () => {
  test("keeps its budget, and TF.js answers from the file as the float network does", async () => {
    const { test: all } = await loadTestbed({ ...(await source()), testImages: 300 });
    const images = normalizedBatch(all, [...all.labels.keys()]);
    const logitsOf = (parameters: Parameters): tf.Tensor2D =>
      cifarResnet(parameters, tf.tensor4d(images, [all.labels.length, 32, 32, 3]));
    // Untrained, it would always answer the same: every class gets the same mean.
    const bias = tf.tidy(() => tf.sub(testbed.start["linear.bias"], tf.mean(logitsOf(testbed.start), 0)));
    const start = { ...testbed.start, "linear.bias": bias };
    // The third of each class of which it is surest: of the others, a few more or fewer are chance.
    const { values, indices } = tf.tidy(() => tf.topk(logitsOf(start), 2));
    const [best, classes] = [await values.array(), await indices.array()];
    tf.dispose([values, indices]);
    const margins = best.map(([first, second]) => first - second);
    const rank = margins.map((margin, i) => {
      const own = margins.filter((_, k) => classes[k][0] === classes[i][0]);
      return own.filter((other) => other > margin).length / own.length;
    });
    const surest = [...all.labels.keys()].sort((a, b) => rank[a] - rank[b]).slice(0, 100);
    const labels = Uint8Array.from(surest, (i) => classes[i][0]);
    const pixels = Uint8Array.from(surest.flatMap((i) => [...all.pixels.subarray(i * 3072, (i + 1) * 3072)]));
    const counts = Array.from({ length: 10 }, (_, c) => labels.filter((label) => label === c).length);
    expect(Math.max(...counts)).toBeLessThan(0.5 * labels.length);
    const before = tf.memory().numTensors;
    const train = imagesFrom(testbed.train, 0, 128);
    const answers = { ...testbed, start, train, test: { pixels, labels } };
    const { accuracy, weights } = await calibratedWeights.runs[0].measure(answers);
    // Of filters, matrix and biases, `calibrate` keeps a copy for as long as the function it gave back could be called.
    expect(tf.memory().numTensors).toBe(before + 16);
    expect(accuracy).toBeGreaterThanOrEqual(0.85);
    expect(weights!.coded).toBeLessThanOrEqual(2);
    expect(weights!.coded).toBeGreaterThan(1.9);
    // Kernels alone; the file has steps, biases and the topology beside them.
    const kernels = weights!.layers.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(weights!.bytes).toBeGreaterThan(kernels);
    expect(weights!.layers.length).toBe(8);
    bias.dispose();
  }, 180_000);
});

describe("CRQ", () => {
  test("ends with three levels in every layer but the first and the last, and leaves no tensor behind", async () => {
    const before = tf.memory().numTensors;
    const { runs } = RECIPES.find(({ name }) => name === "crq")!;
    const { weights } = await runs.find(({ id }) => id === "soft")!.measure(testbed);
    expect(tf.memory().numTensors).toBe(before);
    for (const { name, entropy } of weights!.layers) {
      if (/^(conv1|linear)/.test(name)) expect(entropy).toBeGreaterThan(4);
      else expect(entropy).toBeLessThanOrEqual(Math.log2(3));
    }
  });
});

describe("DiffQ", () => {
  test.each(["noise-10", "entropy-0.1"])(
    "%s learns widths, decodes them from bytes, and leaves no tensor behind",
    async (id) => {
      const before = tf.memory().numTensors;
      const { runs } = RECIPES.find(({ name }) => name === "diffq")!;
      const { weights, notes } = await runs.find((run) => run.id === id)!.measure(testbed);
      expect(tf.memory().numTensors).toBe(before);
      expect(weights!.fixedWidth).toBeGreaterThan(4);
      expect(weights!.fixedWidth).toBeLessThan(7);
      expect(weights!.coded).toBeLessThan(weights!.fixedWidth);
      expect(Number(notes!["bytes, packed as published"])).toBeGreaterThan(0.75 * weights!.bytes);
    },
  );
});

describe("quantization-aware training", () => {
  test("leaves no tensor behind, with prices on bits and with float activations", async () => {
    const before = tf.memory().numTensors;
    await quantizationAware(testbed, {
      bits: 4,
      activationRate: { lambda: 0.1 },
      weightRate: { lambda: 0.1 },
    });
    const floats = await quantizationAware(testbed, { weightBits: 3 });
    expect(floats.activations).toBeUndefined();
    const { activations, weights } = await quantizationAware(testbed, {
      bits: 6,
      channelRanges: true,
      activationRate: { lambda: 0.1, rate: contextRate(100) },
    });
    expect(activations!.fixedWidth).toBe(6);
    // A step a channel is paid for: 16 channels three times, 32 twice, 64 twice, instead of 7 steps.
    const layerwise = await quantizationAware(testbed, { bits: 6 });
    const parts = (of: typeof weights) => of!.layers.reduce((sum, { bytes }) => sum + bytes, 0);
    const side = (of: typeof weights) => of!.bytes - parts(of);
    const more = 4 * (16 * 3 + 32 * 2 + 64 * 2 - 7);
    expect(side(weights) - side(layerwise.weights)).toBeGreaterThan(0.6 * more);
    expect(side(weights) - side(layerwise.weights)).toBeLessThan(1.1 * more);
    expect(tf.memory().numTensors).toBe(before);
  }, 180_000);
});

describe("npm run methods' options", () => {
  const needed = ["--data", "d", "--checkpoint", "c"];
  const asked: unknown[] = [];
  const words: Words = {
    make: async (...all) => void asked.push(...all),
    plan: async () => {},
    run: async () => {},
    collect: async () => {},
  };
  test.each([
    [["unknown", ...needed], "NAME: expected one of"],
    [["cat", "--checkpoint", "c"], "--data: expected a path"],
    [[...needed, "--steps", "0"], "--steps: expected a whole number from 1"],
    [[...needed, "--coded-images", "x"], "--coded-images: expected a whole number from 100"],
    [
      [...needed, "--workers", "2", "--batch", "30"],
      "--shares: expected a batch that has 4 equal ones, got one of 30",
    ],
    [[...needed, "--colour"], "Unknown option `--colour`"],
  ])("%j is refused in one line that names it", (argv, message) => {
    expect(() => parseWords(argv, words)).toThrow(message);
  });

  test("defaults", async () => {
    await parseWords(needed, words)!();
    expect(asked[0]).toMatchObject({ source: { steps: 300, batch: 32, distill: 1 } });
    expect(asked[1]).toMatchObject({ workers: undefined, fresh: false });
  });
});
