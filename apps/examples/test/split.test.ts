// The page as `npm run split` serves it, used in Chromium: what it shows is compared with the same work done here.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { imageFolder } from "@bitdiet/zoo/data/imagenet";
import { useBackend } from "@bitdiet/zoo/training/backend";
import { type Browser, chromium, type Page } from "playwright";
import type { ViteDevServer } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { servePage } from "../split/serve.js";
import { type Service, splitService } from "../split/service.js";

const executablePath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
const data = process.env.BITDIET_DATA ?? fileURLToPath(new URL("../../../../shared/data", import.meta.url));
const model = join(data, "models/mobilenet-v1-025-imagenet-tfjs/model.json");
const canRun = existsSync(executablePath) && existsSync(model);
if (!canRun)
  console.warn(
    "The split page is not tried: it needs Chromium (CHROMIUM_PATH) and MobileNet (BITDIET_DATA).",
  );

const SHOWN = 6;
const names = Array.from({ length: 1000 }, (_, index) => `class ${index}`);

describe.skipIf(!canRun)("half a network in a page", () => {
  let service: Service;
  let server: ViteDevServer;
  let browser: Browser;
  let page: Page;
  const complaints: string[] = [];

  beforeAll(async () => {
    await useBackend("wasm");
    const pictures = imageFolder(join(data, "imagenet-val"));
    const used = { shown: pictures.slice(0, SHOWN), learned: pictures.slice(SHOWN, SHOWN + 8), names };
    service = await splitService(model, "conv_pw_6_bn", 2.5, used);
    server = await servePage(service, 0);
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
    page = await browser.newPage({ viewport: { width: 360, height: 740 } });
    page.setDefaultTimeout(50_000);
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", ({ message }) => complaints.push(message));
    await page.goto(server.resolvedUrls!.local[0]);
  });

  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  /** What the page says when all pictures have been there and back. */
  async function verdict(): Promise<{ same: number; kilobytes: number }> {
    const handle = await page.waitForFunction(
      (shown) =>
        new RegExp(`^(\\d+) of ${shown} answers .*network's, ([\\d.]+) kB a picture .*\\.$`).exec(
          document.getElementById("verdict")!.textContent!,
        ),
      SHOWN,
    );
    const [, same, kilobytes] = (await handle.jsonValue())!;
    return { same: Number(same), kilobytes: Number(kilobytes) };
  }

  it("gets the whole network's answers for a fraction of the bytes, and decodes what the server decodes", async () => {
    const { same, kilobytes } = await verdict();
    expect(same).toBeGreaterThanOrEqual(SHOWN - 1);
    expect(kilobytes).toBeLessThan(12);
    expect(await page.textContent("#frame")).toContain("the same, bit for bit");
    expect(await page.locator("#before").evaluate((canvas: HTMLCanvasElement) => canvas.width)).toBe(
      16 * 15 - 1,
    );
  });

  it("sends less when the slider says so, and tells which answers change", async () => {
    const before = await verdict();
    await page.locator("#coarseness").fill("12");
    await expect.poll(() => page.textContent("#coarse")).toBe("steps × 8.00");
    await expect.poll(async () => (await verdict()).kilobytes).toBeLessThan(before.kilobytes / 2);
    const { same } = await verdict();
    expect(await page.locator("#pictures .other").count()).toBe(SHOWN - same);
    await page.locator("#pictures button").last().click();
    await expect
      .poll(() => page.locator("#pictures button").last().getAttribute("aria-pressed"))
      .toBe("true");
  });

  it("refuses bytes that are no frame, and files that are not the model's", async () => {
    const address = server.resolvedUrls!.local[0];
    const refused = await fetch(`${address}split/features`, { method: "POST", body: "no frame" });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain("frame: not one of @bitdiet/feature-codec");
    expect((await fetch(`${address}split/model/..%2f..%2f..%2fpackage.json`)).status).toBe(400);
    expect((await fetch(`${address}split/nothing`)).status).toBe(404);
  });

  it("fits a window of 360 pixels, and has nothing to complain about", async () => {
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    expect(complaints).toEqual([]);
  });
});
