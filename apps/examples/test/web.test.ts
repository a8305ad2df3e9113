// The page as visitors get it: built, served, and used in Chromium. What it says is compared with the same work done in Node.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { useBackend } from "@bitdiet/zoo/training/backend";
import * as tf from "@tensorflow/tfjs-core";
import { loadLayersModel } from "@tensorflow/tfjs-layers";
import { compressModel, memoryFiles, readModel } from "bitdiet";
import { decodeModel } from "bitdiet/decode";
import { onnxFromBitdiet } from "bitdiet/onnx";
import { encode } from "fast-png";
import * as ort from "onnxruntime-web";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright";
import { build, type PreviewServer, preview } from "vite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { scaledDigits } from "../web/pictures.js";
import { bytesText, percentText } from "../web/text.js";
import { uint8Levels } from "../web/uint8.js";
import { onnxDigits, onnxHead, onnxMaps, type Weight } from "./onnx-digits.js";

const web = join(import.meta.dirname, "../web");
const executablePath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
const hasChromium = existsSync(executablePath);
if (!hasChromium)
  console.warn(`The page is not tried: no Chromium at ${executablePath} (set CHROMIUM_PATH).`);

const bundled = {
  "digits.json": new Uint8Array(readFileSync(join(web, "model/model.json"))),
  "digits.bin": new Uint8Array(readFileSync(join(web, "model/digits.bin"))),
};
const samples = readFileSync(join(web, "model/samples.bin"));
const COUNT = 200;
const pixels = samples.subarray(COUNT);

/** The bundled network's tensors. */
function bundledWeights(): Weight[] {
  const json = JSON.parse(new TextDecoder().decode(bundled["digits.json"]));
  let at = 0;
  return json.weightsManifest[0].weights.map(({ name, shape }: { name: string; shape: number[] }) => {
    const bytes = 4 * shape.reduce((a, b) => a * b, 1);
    const values = new Float32Array(bundled["digits.bin"].slice(at, (at += bytes)).buffer);
    return { name, shape, values };
  });
}

/** Digits as files that a visitor has. */
function pngs(count: number): { name: string; mimeType: string; buffer: Buffer }[] {
  return Array.from({ length: count }, (_, i) => {
    const data = new Uint8Array(pixels.subarray(784 * i, 784 * i + 784));
    const png = encode({ width: 28, height: 28, data, channels: 1, depth: 8 });
    return { name: `${i}.png`, mimeType: "image/png", buffer: Buffer.from(png) };
  });
}

/** What ONNX Runtime makes of the samples in Node: rows of ten probabilities. */
async function onnxAnswers(model: Uint8Array, externalData: object[] = []): Promise<Float32Array> {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(model, { externalData: externalData as never });
  const x = Float32Array.from(pixels, (pixel) => pixel / 255);
  const { y } = await session.run({ x: new ort.Tensor("float32", x, [COUNT, 1, 28, 28]) });
  await session.release();
  return y.data as Float32Array;
}

/** The bundled network as a graph model, as the converter writes one. */
function graphFiles(): { name: string; bytes: Uint8Array }[] {
  const json = JSON.parse(new TextDecoder().decode(bundled["digits.json"]));
  const weights: { name: string; shape: number[]; dtype: string }[] = json.weightsManifest[0].weights;
  const type = { type: "DT_FLOAT" };
  const tensor = (shape: number[]) => ({ tensorShape: { dim: shape.map((size) => ({ size: `${size}` })) } });
  const constant = (name: string, shape: number[], dtype = "DT_FLOAT") => ({
    name,
    op: "Const",
    attr: { dtype: { type: dtype }, value: { tensor: tensor(shape) } },
  });
  const ones = { list: { i: ["1", "1", "1", "1"] } };
  const layout = { data_format: { s: btoa("NHWC") }, T: type };
  const input = { dtype: type, shape: { shape: tensor([-1, 28, 28, 1]).tensorShape } };
  const node: object[] = [{ name: "x", op: "Placeholder", attr: input }];
  node.push(...weights.map(({ name, shape }) => constant(name, shape)), constant("axes", [2], "DT_INT32"));
  let last = "x";
  const then = (name: string, op: string, second: string[], attr: object) => {
    node.push({ name, op, input: [last, ...second], attr });
    last = name;
  };
  for (const [i, stride] of ["2", "1", "2", "1"].entries()) {
    const strides = { list: { i: ["1", stride, stride, "1"] } };
    const window = { ...layout, strides, dilations: ones, padding: { s: btoa("SAME") } };
    then(`c${i}`, "Conv2D", [`conv${i + 1}/kernel`], window);
    then(`b${i}`, "BiasAdd", [`conv${i + 1}/bias`], layout);
    then(`r${i}`, "Relu", [], { T: type });
  }
  then("pool", "Mean", ["axes"], { keep_dims: { b: false }, T: type });
  then("dense", "MatMul", ["dense/kernel"], {
    transpose_a: { b: false },
    transpose_b: { b: false },
    T: type,
  });
  then("sum", "BiasAdd", ["dense/bias"], layout);
  then("y", "Softmax", [], { T: type });
  const axes = { name: "axes", shape: [2], dtype: "int32" };
  const modelTopology = { node, library: {}, versions: { producer: 898 } };
  const weightsManifest = [{ paths: ["a.bin", "b.bin"], weights: [...weights, axes] }];
  return [
    {
      name: "model.json",
      bytes: new TextEncoder().encode(
        JSON.stringify({ format: "graph-model", modelTopology, weightsManifest }),
      ),
    },
    { name: "a.bin", bytes: bundled["digits.bin"] },
    { name: "b.bin", bytes: new Uint8Array(Int32Array.of(1, 2).buffer) },
  ];
}

/** What a .bitdiet file's network makes of the samples, decoded and run in Node: rows of ten probabilities. */
async function answersInNode(bytes: Uint8Array): Promise<Float32Array> {
  const { tensors } = await decodeModel(bytes);
  const { modelTopology } = JSON.parse(new TextDecoder().decode(bundled["digits.json"]));
  const model = await loadLayersModel(
    tf.io.fromMemory({
      modelTopology,
      weightSpecs: tensors.map(({ name, shape }) => ({ name, shape, dtype: "float32" })),
      weightData: tensors.map(
        ({ values }) =>
          values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength) as ArrayBuffer,
      ),
    }),
  );
  const answers = tf.tidy(() => {
    const x = tf.tensor4d(
      Float32Array.from(pixels, (pixel) => pixel / 255),
      [COUNT, 28, 28, 1],
    );
    return (model.predict(x, { batchSize: COUNT }) as tf.Tensor).dataSync<"float32">();
  });
  model.dispose();
  return answers;
}

const likeliest = (answers: Float32Array, picture: number) => {
  const row = answers.subarray(10 * picture, 10 * picture + 10);
  return row.indexOf(Math.max(...row));
};

describe.skipIf(!hasChromium)("the page", () => {
  let folder: string;
  let server: PreviewServer;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    await useBackend("wasm");
    folder = mkdtempSync(join(tmpdir(), "bitdiet-page-"));
    const shared = {
      configFile: join(web, "vite.config.ts"),
      logLevel: "error" as const,
      build: { outDir: folder },
    };
    vi.stubEnv("NODE_ENV", "production"); // as it is when nobody tests
    await build(shared);
    vi.unstubAllEnvs();
    server = await preview({ ...shared, preview: { port: 0 } });
    browser = await chromium.launch({
      executablePath,
      args: [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
      ],
    });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  beforeEach(async () => {
    complaints.length = 0;
    context = await browser.newContext({ viewport: { width: 360, height: 740 }, reducedMotion: "reduce" });
    context.setDefaultTimeout(50_000);
    page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", ({ message }) => complaints.push(message));
    await page.goto(server.resolvedUrls!.local[0]);
    await settled();
  });

  afterEach(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });

  /** Waits until the page has nothing more to do for the slider's position. */
  async function settled(pattern = /^[\d.]+ (kB|MB|bytes), .* smaller\. ./): Promise<string> {
    await page.waitForFunction(
      (source) =>
        document.getElementById("opening")!.textContent === "" &&
        new RegExp(source).test(document.getElementById("verdict")!.textContent!),
      pattern.source,
    );
    return (await page.textContent("#verdict"))!;
  }

  async function slideTo(position: number): Promise<string> {
    const before = await page.textContent("#verdict");
    await page.locator("#squeeze").fill(`${position}`);
    await page.waitForFunction((text) => document.getElementById("verdict")!.textContent !== text, before);
    return settled();
  }

  const choose = (...files: { name: string; bytes: Uint8Array }[]) =>
    page.setInputFiles(
      "#files",
      files.map(({ name, bytes }) => ({
        name,
        mimeType: "application/octet-stream",
        buffer: Buffer.from(bytes),
      })),
    );

  const compressed = async (bits: number) => {
    const model = await readModel(memoryFiles(bundled), "digits.json");
    return (await compressModel(model, { bits })).bytes;
  };

  it("loads a file that Node compressed, and its network answers as Node's decoder makes it answer", async () => {
    const bytes = await compressed(2);
    const answers = await answersInNode(bytes);
    await choose({ name: "two-bits.bitdiet", bytes });
    await page.waitForFunction(() => document.getElementById("lead")!.textContent!.includes("two-bits"));
    const right = Array.from(samples.subarray(0, COUNT), (label, i) => label === likeliest(answers, i));
    expect(await settled()).toContain(`before, ${right.filter(Boolean).length}.`);
    for (let picture = 0; picture < COUNT; picture += 9) {
      await page
        .locator("#tiles input")
        .nth(picture)
        .evaluate((input: HTMLInputElement) => input.click());
      const shown = await page.locator("#answers tbody tr td:nth-child(2)").allTextContents();
      const wanted = Array.from(answers.subarray(10 * picture, 10 * picture + 10));
      for (const [digit, text] of shown.entries()) {
        const precision = wanted[digit] > 0.09 ? 0.0051 : 0.00051;
        expect(Math.abs(parseFloat(text) / 100 - wanted[digit])).toBeLessThan(precision);
      }
    }
  });

  it("compresses in the browser what Node decodes, and says of every picture what Node reads there", async () => {
    const verdict = await slideTo(19);
    const downloading = page.waitForEvent("download");
    await page.click("#download");
    const download = await downloading;
    expect(download.suggestedFilename()).toBe("digits.bitdiet");
    const bytes = new Uint8Array(readFileSync(await download.path()));
    expect(verdict).toContain(`${bytesText(bytes.length)}, `);
    expect(await page.textContent("#number")).toBe(bytesText(bytes.length));
    const inNode = await compressed(1.25);
    expect(Math.abs(bytes.length / inNode.length - 1)).toBeLessThan(0.01);
    const answers = await answersInNode(bytes);
    const labels = await page
      .locator("#tiles input")
      .evaluateAll((inputs) => inputs.map((input) => input.getAttribute("aria-label")));
    expect(labels).toHaveLength(COUNT);
    for (const [picture, label] of labels.entries())
      expect(label).toContain(`, a ${samples[picture]}, read as ${likeliest(answers, picture)}, `);
    const wrong = await page.locator("#tiles .wrong").count();
    expect(wrong).toBeGreaterThan(5);
    expect(verdict).toContain(`Reads ${COUNT - wrong} of ${COUNT} right`);
  });

  it("says what is wrong with a file that is cut short, altered or something else, and goes on with the network before", async () => {
    const bytes = await compressed(3);
    const error = page.getByRole("alert");
    await choose({ name: "cut.bitdiet", bytes: bytes.subarray(0, bytes.length - 1000) });
    await expect
      .poll(() => error.textContent())
      .toMatch(/^cut\.bitdiet could not be opened: It is damaged or not complete/);
    const altered = bytes.slice();
    altered[bytes.length - 500] ^= 1;
    await choose({ name: "altered.bitdiet", bytes: altered });
    await expect.poll(() => error.textContent()).toMatch(/^altered\.bitdiet .* damaged/);
    await choose({ name: "photo.bitdiet", bytes: Uint8Array.from(pixels.subarray(0, 5000)) });
    await expect.poll(() => error.textContent()).toMatch(/^photo\.bitdiet could not be opened/);
    await choose({ name: "digits.json", bytes: bundled["digits.json"] });
    await expect.poll(() => error.textContent()).toContain("digits.bin: no such file");
    await choose(
      { name: "digits.json", bytes: bundled["digits.json"] },
      { name: "digits.bin", bytes: bundled["digits.bin"].subarray(0, 200_000) },
    );
    await expect.poll(() => error.textContent()).toContain("200000");
    const onnx = onnxDigits(bundledWeights());
    await choose({ name: "cut.onnx", bytes: onnx.subarray(0, 90_000) });
    await expect.poll(() => error.textContent()).toMatch(/^cut\.onnx could not be opened: cut\.onnx: /);
    await choose({ name: "maps.onnx", bytes: onnxMaps(bundledWeights())["maps.onnx"] });
    await expect.poll(() => error.textContent()).toContain("maps.data: no such file");
    await choose({ name: "package.json", bytes: new TextEncoder().encode("{}") });
    await expect.poll(() => error.textContent()).toContain("modelTopology");
    expect(await slideTo(20)).toContain("of 200 right");
  });

  it("opens a model.json with its shard, and shows every weight of it and what it weighs", async () => {
    await choose(
      { name: "digits.json", bytes: bundled["digits.json"] },
      { name: "digits.bin", bytes: bundled["digits.bin"] },
    );
    await page.waitForFunction(() =>
      document.getElementById("lead")!.textContent!.startsWith("Your network: digits"),
    );
    await settled();
    const names = await page.locator("#layers tbody th").allTextContents();
    expect(names.slice(0, 5)).toEqual([
      "conv1/kernel",
      "conv2/kernel",
      "conv3/kernel",
      "conv4/kernel",
      "dense/kernel",
    ]);
    const sizes = await page.locator("#sizes tbody tr").allTextContents();
    expect(sizes[0]).toBe(`float32${bytesText(bundled["digits.bin"].length)}`);
    expect(sizes).toHaveLength(3);
  });

  it("runs a graph model, which reads the digits as the layers model does", async () => {
    const before = /before, \d+/.exec((await page.textContent("#verdict"))!)![0];
    await choose(...graphFiles());
    await page.waitForFunction(() =>
      document.getElementById("lead")!.textContent!.startsWith("Your network"),
    );
    const asGraph = await settled();
    expect(asGraph).toContain(before);
    // A stranger's network begins where its outputs stay, not where this page's own one does.
    const [, right, all] = /Reads (\d+) of 200 right; before, (\d+)/.exec(asGraph)!.map(Number);
    expect(Math.abs(right - all)).toBeLessThanOrEqual(1);
    expect(await page.inputValue("#squeeze")).toBe("10");
    expect(parseFloat((await page.textContent("#bits"))!)).toBeGreaterThan(4);
    await page.selectOption("#layer", "r3");
    await expect.poll(() => page.getAttribute("#maps-before", "aria-label")).toContain("r3, 7 by 7");
  });

  /** Opens files and waits until their network is the one that is shown. */
  async function opened(name: string, ...files: { name: string; bytes: Uint8Array }[]): Promise<string> {
    await choose(...files);
    await page.waitForFunction(
      (text) => document.getElementById("lead")!.textContent!.includes(text),
      `Your network: ${name}.`,
    );
    return settled();
  }

  it("runs an ONNX model, and gives a file that ONNX Runtime reads as the page says, with and without a network", async () => {
    const bytes = onnxDigits(bundledWeights());
    const before = /before, \d+/.exec((await page.textContent("#verdict"))!)![0];
    expect(await opened("digits", { name: "digits.onnx", bytes })).toContain(before);
    expect(await page.textContent("#snippet")).toContain("onnxFromBitdiet");
    await page.selectOption("#layer", "r3");
    await expect
      .poll(() => page.getAttribute("#maps-before", "aria-label"))
      .toContain("64 of 64 feature maps of r3, 7 by 7");
    expect(await page.getAttribute("#maps-now", "aria-label")).toMatch(/off by [\d.]+ %/);
    await slideTo(22);
    const downloading = page.waitForEvent("download");
    await page.click("#download");
    const file = new Uint8Array(readFileSync(await (await downloading).path()));
    const { model, externalData } = await onnxFromBitdiet(file);
    const answers = await onnxAnswers(model, externalData);
    const labels = await page
      .locator("#tiles input")
      .evaluateAll((inputs) => inputs.map((input) => input.getAttribute("aria-label")));
    for (const [picture, label] of labels.entries())
      expect(label).toContain(`, a ${samples[picture]}, read as ${likeliest(answers, picture)}, `);
    const wrong = await page.locator("#tiles .wrong").count();
    expect(wrong).toBeGreaterThan(3);
    expect(file.length).toBeLessThan(bytes.length / 15);
    await context.setOffline(true);
    const right = Array.from(samples.subarray(0, COUNT), (label, i) => label === likeliest(answers, i));
    expect(await opened("small", { name: "small.bitdiet", bytes: file })).toContain(
      `before, ${right.filter(Boolean).length}.`,
    );
  }, 150_000);

  it("says how far outputs that are no answers are off, and calibrates on half of the visitor's pictures", async () => {
    page.setDefaultTimeout(150_000); // dozens of sessions, where a busy machine is slow
    const files = Object.entries(onnxMaps(bundledWeights()));
    await page.setInputFiles("#files", [
      ...files.map(([name, bytes]) => ({ name, mimeType: "", buffer: Buffer.from(bytes) })),
      ...pngs(16),
    ]);
    await page.waitForFunction(() => document.getElementById("lead")!.textContent!.includes("maps"));
    const off = (verdict: string) => Number(/Outputs off by ([\d.]+) % on 8 pictures/.exec(verdict)![1]);
    const safe = off(await settled());
    expect(safe).toBeGreaterThan(0);
    expect(safe).toBeLessThan(10);
    const alone = await slideTo(18);
    expect(off(alone)).toBeGreaterThan(safe);
    expect(await page.textContent("#calibration")).toContain("Calibrate on your other 8 pictures");
    expect(await page.locator("#tiles input").first().getAttribute("aria-label")).toMatch(
      /^0\.png, outputs off by [\d.]+ %$/,
    );
    expect(await page.locator("#answers").isVisible()).toBe(false);
    await page.check("#calibrate");
    await page.waitForFunction((text) => document.getElementById("verdict")!.textContent !== text, alone);
    const calibrated = await settled();
    expect(off(calibrated)).toBeLessThan(0.8 * off(alone));
    expect(Number.parseFloat(calibrated)).toBeLessThan(1.02 * Number.parseFloat(alone));
  }, 300_000);

  it("takes the range of pixels from preprocessor_config.json, until the visitor says otherwise", async () => {
    const config = { do_normalize: false, rescale_factor: 1 };
    const told = await opened(
      "model",
      { name: "preprocessor_config.json", bytes: new TextEncoder().encode(JSON.stringify(config)) },
      { name: "model.onnx", bytes: onnxDigits(bundledWeights()) },
    );
    expect(await page.inputValue("#range")).toBe("told");
    expect(await page.locator("#answers tbody tr").first().textContent()).toMatch(/^\d(0|100) %(0|100) %$/);
    await page.selectOption("#range", "unit");
    await page.waitForFunction((text) => document.getElementById("verdict")!.textContent !== text, told);
    expect(await settled()).toMatch(/Reads 19\d of 200 right/);
    expect(await page.inputValue("#range")).toBe("unit");
  });

  it("lets go of what it is opening when something else is chosen", async () => {
    const slow = new Uint8Array(readFileSync(join(web, "model/samples.bin")));
    await page.evaluate(() => {
      const spawned = Object.assign(window, { ended: 0 });
      const { terminate } = Worker.prototype;
      Worker.prototype.terminate = function () {
        spawned.ended++;
        terminate.call(this);
      };
    });
    await choose({ name: "slow.onnx", bytes: onnxDigits(bundledWeights()) }, { name: "a.bin", bytes: slow });
    expect(
      await opened(
        "digits",
        { name: "digits.json", bytes: bundled["digits.json"] },
        {
          name: "digits.bin",
          bytes: bundled["digits.bin"],
        },
      ),
    ).toContain("of 200 right");
    expect(await page.textContent("#lead")).toContain("digits");
    // The one that was being opened, and the one that was open.
    expect(await page.evaluate(() => (window as unknown as { ended: number }).ended)).toBe(2);
  });

  it("says why a network is not tried on pictures, and shrinks it nevertheless", async () => {
    const [json, ...shards] = graphFiles();
    const noPictures = new TextDecoder()
      .decode(json.bytes)
      .replaceAll('{"size":"28"}', '{"size":"7"}')
      .replace('{"size":"1"}', '{"size":"16"}');
    await choose({ name: "other.json", bytes: new TextEncoder().encode(noPictures) }, ...shards);
    await page.waitForFunction(() => document.getElementById("lead")!.textContent!.includes("other"));
    expect(await settled()).toMatch(/Not tried on pictures. It takes \[7,7,16\]/);
    expect(await page.locator("#layers tbody tr").count()).toBe(6);
    expect(await page.locator("#pictures").isVisible()).toBe(false);
    const head = await opened("head", { name: "head.onnx", bytes: onnxHead(bundledWeights()) });
    expect(head).toMatch(
      /It takes \[64\], not pictures. On made-up inputs (100|99|9\d\.\d) % of its answers/,
    );
    expect(await page.locator("#layers tbody th").first().textContent()).toBe("dense/kernel");
  });

  it("tries a network on pictures that are added, which then read as the same digits do", async () => {
    const seven = samples.indexOf(7);
    const data = pixels.subarray(784 * seven, 784 * seven + 784);
    const png = encode({ width: 28, height: 28, data: new Uint8Array(data), channels: 1, depth: 8 });
    const file = { name: "seven.png", mimeType: "image/png", buffer: Buffer.from(png) };
    const likeDigit = await page.locator("#tiles input").nth(seven).getAttribute("aria-label");
    await page.setInputFiles("#files", [file, { ...file, name: "again.png" }]);
    await page.waitForFunction(() => document.querySelectorAll("#tiles input").length === 2);
    expect(await settled()).toContain("Same answer as before on 2 of 2 pictures.");
    const [first, second] = await page
      .locator("#tiles input")
      .evaluateAll((inputs) => inputs.map((input) => input.getAttribute("aria-label")!));
    expect(first).toBe(likeDigit!.replace(`Picture ${seven + 1}, a 7`, "seven.png"));
    expect(second.replace("again", "seven")).toBe(first);
  });

  it("calibrates on other digits, and then reads nearly all at half a bit a weight, where rounding alone fails", async () => {
    const alone = await slideTo(22);
    const right = (verdict: string) => Number(/Reads (\d+) of/.exec(verdict)![1]);
    expect(right(alone)).toBeLessThan(120);
    await page.check("#calibrate");
    await page.waitForFunction((text) => document.getElementById("verdict")!.textContent !== text, alone);
    const calibrated = await settled();
    expect(right(calibrated)).toBeGreaterThan(190);
    const bytes = (verdict: string) => Number.parseFloat(verdict);
    expect(bytes(calibrated)).toBeLessThan(1.01 * bytes(alone));
    await page.uncheck("#calibrate");
    await expect.poll(() => page.textContent("#verdict")).toBe(alone);
  }, 150_000);

  it("opens again without a network", async () => {
    await page.waitForFunction(() => document.getElementById("offline")!.textContent !== "");
    await context.setOffline(true);
    await page.reload();
    expect(await settled()).toContain("of 200 right");
  });

  it("is used by keyboard, and fits a window of 360 pixels", async () => {
    await page.focus("#squeeze");
    const before = await page.textContent("#verdict");
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction((text) => document.getElementById("verdict")!.textContent !== text, before);
    expect(await page.getAttribute("#squeeze", "aria-valuetext")).toBe("3.25 bits a weight");
    await page.keyboard.press("Tab"); // the checkbox
    await page.keyboard.press("Tab"); // the pictures
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => page.textContent("#chosen-caption")).toMatch(/^Picture 2,/);
    await page.selectOption("#layer", "conv2");
    const described = (maps: string) => page.getAttribute(maps, "aria-label");
    await expect.poll(() => described("#maps-before")).toContain("conv2, 14 by 14");
    await expect.poll(() => described("#maps-now")).toMatch(/off by [\d.]+ %/);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  });
});

describe("what the page counts with", () => {
  it("puts a tensor on 256 levels from its least to its largest value", () => {
    expect(uint8Levels(Float32Array.of(-1, 0, 1, 0.25))).toEqual(Uint8Array.of(0, 128, 255, 159));
    expect(uint8Levels(Float32Array.of(3, 3))).toEqual(Uint8Array.of(0, 0));
  });

  it("leaves digits alone at their own size, and interpolates at others", () => {
    const digits = {
      side: 2,
      labels: Uint8Array.of(1, 2),
      pixels: Uint8Array.of(0, 255, 0, 255, 51, 51, 51, 51),
    };
    const at = (height: number, width: number, channels: number, count: number) =>
      scaledDigits(digits, { height, width, channels }, count);
    expect(at(2, 2, 1, 1)).toEqual([Float32Array.of(0, 1, 0, 1)]);
    expect(at(1, 3, 1, 1)).toEqual([Float32Array.of(0, 0.5, 1)]);
    expect(at(1, 1, 3, 2)[1]).toEqual(Float32Array.of(0.2, 0.2, 0.2));
  });

  it("writes sizes and shares in three digits at most", () => {
    expect([999, 21_640, 244_520, 999_600].map(bytesText)).toEqual([
      "999 bytes",
      "21.6 kB",
      "245 kB",
      "1.0 MB",
    ]);
    expect([0.0004, 0.0312, 0.5, 0.996, 1].map(percentText)).toEqual([
      "0 %",
      "3.1 %",
      "50 %",
      "99.6 %",
      "100 %",
    ]);
  });
});
